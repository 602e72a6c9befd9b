// Matrix-vector units of bytes, and of wider numbers.
#pragma once

#include <type_traits>

#include "kernels.hpp"
#include "numbers.hpp"
#include "vectors.hpp"
#include "windows.hpp"

namespace {

// ---- bytes, and words of 16 bits -----------------------------------------------------------------------------------

// Inputs that follow each other fill a lane of 32 bits, in which their products are added. Products of bytes are added in
// pairs of 16 bits; before these exceed their range, after `chunk` lanes, they are added to sums of 32 bits. Weights of two
// planes are sums of a first part and of a second one that is shifted.
template <class X, class Sums, int PLANES>
struct Dot {
  static constexpr int BLOCK = 16;  // neurons whose lanes of a plane follow each other

  const std::int32_t* offset;
  int length, chunk, shift;
  const std::uint8_t* weights;
  const Neurons& to;

  inline std::size_t row() const { return std::size_t{4} * PLANES * to.padded; }
  inline const std::uint8_t* of(int n) const { return weights + 4 * (PLANES * (n / BLOCK * BLOCK) + n % BLOCK); }

  // Add the lanes in [s, end) of the windows from x on, `step` apart.
  template <int P, int G>
  inline void lanes(Sums (&products)[P][G], const X* x, std::size_t step, const std::uint8_t* w, int s, int end) const {
    constexpr int NEXT = PLANES == 1 ? VECTOR_BYTES : 4 * BLOCK;
    for (; s < end; ++s, w += row()) {
      const X* from = x + offset[s];
      Words weight[G];
      for (int g = 0; g < G; ++g) weight[g] = load<Words>(w + g * NEXT);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p, from += step) {
        std::uint32_t lane;
        std::memcpy(&lane, from, sizeof lane);
        const Words value = same<Words>(lane);
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) products[p][g].add(value, weight[g]);
      }
    }
  }

  template <int P, int G>
  inline void all_lanes(Sums (&products)[P][G], const X* x, std::size_t step, const std::uint8_t* w) const {
    if (!Sums::LIMITED) return lanes(products, x, step, w, 0, length);
    for (int s = 0; s < length; s += chunk) {
      lanes(products, x, step, w + row() * s, s, least(length, s + chunk));
      for (int p = 0; p < P; ++p)
        for (int g = 0; g < G; ++g) products[p][g].flush();
    }
  }

  // 32 neurons at windows that follow each other `step` apart, and whose places are in a row.
  template <bool SUMS, int P>
  inline void word(const X* x, std::size_t step, std::size_t here, int first) const {
    constexpr int G = 2, TAKEN = PLANES == 1 ? G * LANES : LANES;
    std::size_t at[P];
    for (int p = 0; p < P; ++p) at[p] = here + p;
    Results<std::int32_t, P, SUMS> results;
#pragma GCC unroll 4
    for (int n = 0; n < 32; n += TAKEN) {
      if (PLANES == 2 && first + n >= to.count) continue;
      Sums products[P][G];
      all_lanes(products, x, step, of(first + n));
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) {
        if (PLANES == 2) {
          // The shifted part may wrap where the sum does not.
          const Words high = reinterpret_cast<Words>(products[p][1].total()) << shift;
          const Words all = reinterpret_cast<Words>(products[p][0].total()) + high;
          results.take(to, at[p], p, first, n, reinterpret_cast<Numbers>(all));
          continue;
        }
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) results.take(to, at[p], p, first, n + g * LANES, products[p][g].total());
      }
    }
    results.end(to, at, first);
  }

  template <int P>
  inline void windows(const X* x, std::size_t step, std::size_t here) const {
    for (int first = 0; first < to.count; first += 32) {
      // Two planes have no version without sums, which would have to be compiled too.
      if (PLANES == 2 || to.sums.data)
        word<true, P>(x, step, here, first);
      else
        word<PLANES == 2, P>(x, step, here, first);
    }
  }

  // The last windows of a line are computed twice if that fills a tile.
  inline void line(const X* x, std::size_t step, std::size_t here, int count) const {
    constexpr int P = VECTOR_BYTES == 64 ? 4 : 2, MANY = 2 * P;
    int c = 0;
    if (P == 4)
      for (; c + MANY <= count; c += MANY) windows<MANY>(x + c * step, step, here + c);
    for (; c + P <= count; c += P) windows<P>(x + c * step, step, here + c);
    if (c == count) return;
    if (count >= P) return windows<P>(x + (count - P) * step, step, here + count - P);
    for (; c < count; ++c) windows<1>(x + c * step, step, here + c);
  }

  void run(const X* from, int images, const Window& g) const {
    const std::size_t size = image_size(g), step = static_cast<std::size_t>(g.stride_width) * g.unit;
    if (g.rows * g.columns == 1) return line(from, size, 0, images);
    std::size_t here = 0;
    for (int image = 0; image < images; ++image, from += size)
      for (int r = 0; r < g.rows; ++r, here += g.columns)
        line(from + static_cast<std::size_t>(r) * g.stride_height * g.width * g.unit, step, here, g.columns);
  }
};

void dot(ConstNumbers x, int images, const Window& g, int length, int chunk, const std::uint8_t* weights,
         const Neurons& to) {
  const Dot<std::uint8_t, Products, 1> lines = {g.offsets, length, chunk, 0, weights, to};
  lines.run(static_cast<const std::uint8_t*>(x.data), images, g);
}

void dot_words(ConstNumbers x, int images, const Window& g, int length, int shift, const std::uint8_t* weights,
               const Neurons& to) {
  const Dot<std::int16_t, WordProducts, 2> lines = {g.offsets, length, 0, shift, weights, to};
  lines.run(static_cast<const std::int16_t*>(x.data), images, g);
}

// ---- numbers -------------------------------------------------------------------------------------------------------

// Sums in elements of T, which hold every partial sum exactly. With NARROW, 32 bits hold the inputs and the weights.
template <class T, bool NARROW = false>
struct Mac {
  using V = Vector<T>;
  using X = typename std::conditional<NARROW, std::int32_t, typename Repeated<T>::Stored>::type;
  using W = typename std::conditional<NARROW, std::int32_t, T>::type;
  static constexpr int WIDTH = VECTOR_BYTES / static_cast<int>(sizeof(T));
  static constexpr int GROUPS = WIDTH < 32 ? 2 : 1;
  static constexpr int P = sizeof(T) == 2 || (std::is_same<T, double>::value && VECTOR_BYTES == 64) ? 8 : 4;
  static constexpr int BLOCK = 128 / static_cast<int>(sizeof(T));  // neurons whose rows of weights follow each other

  static inline V product(V weight, V value) {
    if constexpr (NARROW) return narrow_products(weight, value);
    return weight * value;
  }

  static inline V weight_at(const W* w) {
    if constexpr (NARROW) return widened(w);
    return load<V>(w);
  }

  static const W* rows(const W* weights, int length, int n) {
    return weights + static_cast<std::size_t>(n / BLOCK) * length * BLOCK + n % BLOCK;
  }

  template <int N, bool DIRECT>
  static void places(const X* const (&x)[N], const std::size_t (&at)[N], const std::int32_t* offset, int length,
                     const W* weights, const Neurons& to) {
    for (int first = 0; first < to.count; first += 32) {
      Results<T, N> results;
      for (int n = 0; n < 32 && first + n < to.count; n += GROUPS * WIDTH) {
        V sums[N][GROUPS] = {};
        const W* w = rows(weights, length, first + n);
        for (int s = 0; s < length; ++s, w += BLOCK) {
          const int i = DIRECT ? s : offset[s];
          V weight[GROUPS];
          for (int g = 0; g < GROUPS; ++g) weight[g] = weight_at(w + g * WIDTH);
#pragma GCC unroll 8
          for (int p = 0; p < N; ++p) {
            const V value = Repeated<T>::get(x[p][i]);
#pragma GCC unroll 4
            for (int g = 0; g < GROUPS; ++g) sums[p][g] += product(weight[g], value);
          }
        }
#pragma GCC unroll 8
        for (int p = 0; p < N; ++p)
#pragma GCC unroll 4
          for (int g = 0; g < GROUPS; ++g) results.take(to, at[p], p, first, n + g * WIDTH, sums[p][g]);
      }
      results.end(to, at, first);
    }
  }

  static void border(const X* image, const Window& g, const Place& place, std::size_t here, const W* weights,
                     const Neurons& to) {
    const std::size_t at[1] = {here};
    for (int first = 0; first < to.count; first += 32) {
      Results<T, 1> results;
      for (int n = 0; n < 32 && first + n < to.count; n += WIDTH) {
        V sums = {};
        taps(g, place, [&](std::size_t from, int tap) {
          const W* w = rows(weights, g.kernel_height * g.kernel_width * g.unit, first + n) +
                       static_cast<std::size_t>(tap) * g.unit * BLOCK;
          for (int s = 0; s < g.unit; ++s, w += BLOCK) sums += product(weight_at(w), Repeated<T>::get(image[from + s]));
        });
        results.take(to, here, 0, first, n, sums);
      }
      results.end(to, at, first);
    }
  }

  template <bool DIRECT>
  static void all(const X* x, int images, const Window& g, const W* weights, const Neurons& to) {
    const int length = g.kernel_height * g.kernel_width * g.unit;
    const auto many = [&](const X* const(&from)[P], const std::size_t(&at)[P]) {
      places<P, DIRECT>(from, at, g.offsets, length, weights, to);
    };
    const auto one = [&](const X* const(&from)[1], const std::size_t(&at)[1]) {
      places<1, DIRECT>(from, at, g.offsets, length, weights, to);
    };
    tiles<P>(x, images, g, many, one, [&](const X* image, const Place& place, std::size_t here) {
      border(image, g, place, here, weights, to);
    });
  }

  static void run(ConstNumbers x, int images, const Window& g, const void* weights, const Neurons& to) {
    const X* from = static_cast<const X*>(x.data);
    if (g.offsets) return all<false>(from, images, g, static_cast<const W*>(weights), to);
    all<true>(from, images, g, static_cast<const W*>(weights), to);
  }
};

void mac(ConstNumbers x, int images, const Window& g, const void* weights, const Neurons& to) {
  switch (x.type) {
    case Type::pairs: return Mac<std::int16_t>::run(x, images, g, weights, to);
    case Type::i32: return Mac<std::int64_t, true>::run(x, images, g, weights, to);
    case Type::f32: return Mac<float>::run(x, images, g, weights, to);
    case Type::f64: return Mac<double>::run(x, images, g, weights, to);
    default: return Mac<std::int64_t>::run(x, images, g, weights, to);
  }
}

}  // namespace
