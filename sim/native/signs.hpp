// Matrix-vector units of signs times signs.
#pragma once

#include "kernels.hpp"
#include "numbers.hpp"
#include "vectors.hpp"
#include "windows.hpp"

namespace {

// A vector holds eight synapses of as many neurons as it has bytes; an input is a byte that stands four times. Eight
// such rows are added bit by bit with carries, which leaves one whose ones count eight times (Harley and Seal; W. Mula,
// N. Kurz, D. Lemire, "Faster Population Counts Using AVX2 Instructions", 2018).

#if defined(__AVX512F__)
constexpr int PLACES = 4, SINGLE_GROUPS = 2;
#elif defined(__AVX2__)
constexpr int PLACES = 2, SINGLE_GROUPS = 2;
#else
constexpr int PLACES = 2, SINGLE_GROUPS = 1;
#endif

constexpr int MOST_BLOCKS = 31;  // of eight rows, whose counts fit into bytes

// Neurons whose bits are collected before they are written: whole words, and whole vectors of bytes.
constexpr int SPAN = VECTOR_BYTES < 32 ? 32 : VECTOR_BYTES;

// Collects the bits of a span of neurons at P places, and writes them.
template <int P>
struct Fired {
  std::uint32_t word[P][SPAN / 32] = {};

  inline void end(const Neurons& to, const std::size_t* at, int first) {
    if (!to.fired) return;
    const int words = words_of(to.count);
#pragma GCC unroll 2
    for (int w = 0; w < SPAN / 32; ++w) {
      const int begin = first + 32 * w;
      if (begin >= to.count) return;
      const std::uint32_t used = used_bits(to, begin), falls = to.falls[begin / 32];
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) to.fired[at[p] * words + begin / 32] = (word[p][w] ^ falls) & used;
    }
  }
};

// Counts ones by byte; `eights` count eight rows each.
struct Counters {
  Words first = Words{}, second = Words{}, third = Words{}, fours = Words{}, eights = Words{};

  inline Words four(Words a, Words b, Words c, Words d) {
    const Words x = add_bits(first, a, b), y = add_bits(first, c, d);
    return add_bits(second, x, y);
  }
  inline void eight(Words fours_a, Words fours_b) { eights += byte_ones(add_bits(third, fours_a, fours_b)); }
  inline Words rest() {  // at most 8 + 16 + 32 + 32
    return byte_ones(first) + (byte_ones(second) << 1) + ((byte_ones(third) + fours) << 2);
  }
};

// The unsigned type of as many bits: sums wrap, and the last one fits.
template <class T>
using Unsigned = typename UnsignedOf<sizeof(T)>::type;

// The counts of a vector of neurons in numbers of T: neuron i is lane i / PARTS of part i % PARTS.
template <class T>
struct Counts {
  using U = Unsigned<T>;
  static constexpr int PARTS = static_cast<int>(sizeof(T));
  static constexpr int WIDTH = VECTOR_BYTES / PARTS;
  Vector<U> part[PARTS];

  inline Counts() {
#pragma GCC unroll 4
    for (int k = 0; k < PARTS; ++k) part[k] = Vector<U>{};
  }
  inline void add(Words bytes, int shift) {
#pragma GCC unroll 4
    for (int k = 0; k < PARTS; ++k)
      part[k] += (reinterpret_cast<Vector<U>>(bytes) >> (8 * k) & same<Vector<U>>(U{0xff})) << shift;
  }
  inline void flush(Counters& c) {
    add(c.eights, 3);
    c.eights = Words{};
  }
  // Turn disagreements into sums.
  inline void end(Counters& c, U synapses) {
    flush(c);
    add(c.rest(), 0);
#pragma GCC unroll 4
    for (int k = 0; k < PARTS; ++k) part[k] = same<Vector<U>>(synapses) - (part[k] << 1);
  }
  inline Vector<T> sums(int k) const { return reinterpret_cast<Vector<T>>(part[k]); }

  // Give out the sums of the neurons from n on.
  template <int P>
  inline void give(Fired<P>& fired, const Neurons& to, std::size_t here, int p, int n) const {
    if (to.fired) {
      const T* thresholds = static_cast<const T*>(to.thresholds) + n / PARTS;
      Words truth = Words{};
#pragma GCC unroll 4
      for (int k = 0; k < PARTS; ++k, thresholds += to.padded / PARTS) {
        const auto reached_here = reaches(sums(k), load<Vector<T>>(thresholds));
        const Vector<U> mask = same<Vector<U>>(static_cast<U>(0xffu << (8 * k)));
        truth |= reinterpret_cast<Words>(reinterpret_cast<Vector<U>>(reached_here) & mask);
      }
      set_bits(truth, n, fired.word[p]);
    }
    if (to.sums.data) write_sums(to, here, n);
  }

  __attribute__((noinline)) void write_sums(const Neurons& to, std::size_t here, int n) const {
    T values[VECTOR_BYTES];
    for (int k = 0; k < PARTS; ++k)
      for (int i = 0; i < WIDTH; ++i) values[PARTS * i + k] = static_cast<T>(part[k][i]);
    if (n < to.count) write(to.sums, here * to.count + n, least(VECTOR_BYTES, to.count - n), values);
  }
};

// The rows of a window: where the inputs are, and the weights.
struct Rows {
  const std::int32_t* offset;  // null if they follow each other
  int length;                  // a multiple of four
  const std::uint8_t* weights;
  std::size_t padded;
};

// Count the disagreements of P vectors with the neurons of G spans.
template <class T, int P, int G, bool DIRECT, class Input>
inline void count_rows(Counters (&c)[P][G], Counts<T> (&counts)[P][G], const Rows& rows, int n, Input&& input) {
  const auto at = [&rows](int s) { return DIRECT ? s : rows.offset[s]; };
  const auto four = [&](Counters& counters, int p, const std::uint8_t* from, const int(&i)[4]) {
    const Words a = input(p, i[0], load<Words>(from)), b = input(p, i[1], load<Words>(from + rows.padded));
    from += 2 * rows.padded;
    const Words d = input(p, i[2], load<Words>(from)), e = input(p, i[3], load<Words>(from + rows.padded));
    return counters.four(a, b, d, e);
  };
  const std::uint8_t* w = rows.weights + n;
  int s = 0;
  while (s + 8 <= rows.length) {
    const int end = least(rows.length, s + 8 * MOST_BLOCKS);
    for (; s + 8 <= end; s += 8, w += 8 * rows.padded) {
      const int i[4] = {at(s), at(s + 1), at(s + 2), at(s + 3)}, j[4] = {at(s + 4), at(s + 5), at(s + 6), at(s + 7)};
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
          const Words first = four(c[p][g], p, w + g * SPAN, i);
          c[p][g].eight(first, four(c[p][g], p, w + g * SPAN + 4 * rows.padded, j));
        }
    }
    if (s + 8 > rows.length) break;
    for (int p = 0; p < P; ++p)
      for (int g = 0; g < G; ++g) counts[p][g].flush(c[p][g]);
  }
  if (s == rows.length) return;
  const int i[4] = {at(s), at(s + 1), at(s + 2), at(s + 3)};
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) c[p][g].fours = byte_ones(four(c[p][g], p, w + g * SPAN, i));
}

template <class T, int P, int G, bool DIRECT>
inline void xnor_span(const std::uint32_t* const (&x)[P], const std::size_t (&at)[P], const Rows& rows, int synapses,
                      int first, const Neurons& to) {
  Fired<P> fired[G];
#pragma GCC unroll 2
  for (int v = 0; v < SPAN; v += VECTOR_BYTES) {
    Counters c[P][G];
    Counts<T> counts[P][G];
    count_rows<T, P, G, DIRECT>(c, counts, rows, first + v, [&x](int p, int i, Words w) { return w ^ x[p][i]; });
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) {
        counts[p][g].end(c[p][g], static_cast<Unsigned<T>>(synapses));
        counts[p][g].give(fired[g], to, at[p], p, first + g * SPAN + v);
      }
  }
  for (int g = 0; g < G; ++g) fired[g].end(to, at, first + g * SPAN);
}

template <class T, int P, int G, bool DIRECT>
inline void xnor_places(const std::uint32_t* const (&x)[P], const std::size_t (&at)[P], const Rows& rows, int synapses,
                        const Neurons& to) {
  int first = 0;
  if (G > 1)
    for (; first + (G - 1) * SPAN < to.count; first += G * SPAN)
      xnor_span<T, P, G, DIRECT>(x, at, rows, synapses, first, to);
  for (; first < to.count; first += SPAN) xnor_span<T, P, 1, DIRECT>(x, at, rows, synapses, first, to);
}

// One window, tap by tap: count(first input of a tap, its rows, neuron, counters, counts) returns how many of its
// synapses are not 0.
template <class T, class Count>
inline void xnor_taps(const Window& g, const Place& place, std::size_t here, const std::uint8_t* weights,
                      const Neurons& to, Count&& count) {
  const std::size_t at[1] = {here}, padded = to.padded;
  for (int first = 0; first < to.count; first += SPAN) {
    Fired<1> fired;
    for (int n = first; n < first + SPAN; n += VECTOR_BYTES) {
      Counts<T> sums;
      taps(g, place, [&](std::size_t from, int tap) {
        const Rows rows = {nullptr, g.unit, weights + static_cast<std::size_t>(tap) * g.unit * padded, padded};
        Counters c[1][1];
        Counts<T> counts[1][1];
        const int synapses = count(from, rows, n, c, counts);
        counts[0][0].end(c[0][0], static_cast<Unsigned<T>>(synapses));
        for (int k = 0; k < Counts<T>::PARTS; ++k) sums.part[k] += counts[0][0].part[k];
      });
      sums.give(fired, to, here, 0, n);
    }
    fired.end(to, at, first);
  }
}

template <class T, bool DIRECT>
void xnor_windows(const std::uint32_t* x, int images, const Window& g, int synapses, const std::uint8_t* weights,
                  const Neurons& to) {
  const int all = g.kernel_height * g.kernel_width;
  const Rows rows = {g.offsets, all * g.unit, weights, static_cast<std::size_t>(to.padded)};
  const auto many = [&](const std::uint32_t* const(&from)[PLACES], const std::size_t(&at)[PLACES]) {
    xnor_places<T, PLACES, 1, DIRECT>(from, at, rows, all * synapses, to);
  };
  const auto one = [&](const std::uint32_t* const(&from)[1], const std::size_t(&at)[1]) {
    xnor_places<T, 1, SINGLE_GROUPS, DIRECT>(from, at, rows, all * synapses, to);
  };
  tiles<PLACES>(x, images, g, many, one, [&](const std::uint32_t* image, const Place& place, std::size_t here) {
    xnor_taps<T>(g, place, here, weights, to, [&](std::size_t from, const Rows& tap, int n, Counters(&c)[1][1],
                                                 Counts<T>(&counts)[1][1]) {
      const std::uint32_t* inputs = image + from;
      count_rows<T, 1, 1, true>(c, counts, tap, n, [inputs](int, int i, Words w) { return w ^ inputs[i]; });
      return synapses;
    });
  });
}

template <class T>
void xnor_of(const std::uint32_t* x, int images, const Window& g, int synapses, const std::uint8_t* weights,
             const Neurons& to) {
  if (g.offsets) return xnor_windows<T, false>(x, images, g, synapses, weights, to);
  xnor_windows<T, true>(x, images, g, synapses, weights, to);
}

void xnor(const std::uint32_t* x, int images, const Window& g, int synapses, bool wide, const std::uint8_t* weights,
          const Neurons& to) {
  if (wide) return xnor_of<std::int32_t>(x, images, g, synapses, weights, to);
  xnor_of<std::int16_t>(x, images, g, synapses, weights, to);
}

template <class T>
void xnor_masked_of(const std::uint32_t* x, const std::uint32_t* mask, int images, const Window& g,
                    const std::uint8_t* weights, const Neurons& to) {
  const std::size_t size = image_size(g);
  windows(images, g, [&](int image, const Place& place, std::size_t here) {
    xnor_taps<T>(g, place, here, weights, to, [&](std::size_t from, const Rows& tap, int n, Counters(&c)[1][1],
                                                 Counts<T>(&counts)[1][1]) {
      const std::uint32_t *signs = x + image * size + from, *used = mask + image * size + from;
      count_rows<T, 1, 1, true>(c, counts, tap, n, [=](int, int i, Words w) { return (w ^ signs[i]) & used[i]; });
      int count = 0;
      for (int s = 0; s < tap.length; ++s) count += __builtin_popcount(used[s] & 0xff);
      return count;
    });
  });
}

void xnor_masked(const std::uint32_t* x, const std::uint32_t* mask, int images, const Window& g, bool wide,
                 const std::uint8_t* weights, const Neurons& to) {
  if (wide) return xnor_masked_of<std::int32_t>(x, mask, images, g, weights, to);
  xnor_masked_of<std::int16_t>(x, mask, images, g, weights, to);
}

}  // namespace
