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

constexpr int MOST_EIGHTS = 31;  // rows by eights, whose counts fit into bytes

constexpr int BLOCK = 64;  // neurons whose rows of weights follow each other

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

// Counts ones by byte; `eights` count eight rows each, and stay at the largest byte.
struct Counters {
  Words first = Words{}, second = Words{}, third = Words{}, fours = Words{}, eights = Words{};

  inline Words four(Words a, Words b, Words c, Words d) {
    const Words x = add_bits(first, a, b), y = add_bits(first, c, d);
    return add_bits(second, x, y);
  }
  inline void eight(Words fours_a, Words fours_b) {
    eights = add_bytes(eights, byte_ones(add_bits(third, fours_a, fours_b)));
  }
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
  inline void end(Counters& c, int synapses) {
    flush(c);
    add(c.rest(), 0);
#pragma GCC unroll 4
    for (int k = 0; k < PARTS; ++k) part[k] = same<Vector<U>>(static_cast<U>(synapses)) - (part[k] << 1);
  }
  inline Vector<T> sums(int k) const { return reinterpret_cast<Vector<T>>(part[k]); }

  // Give out the sums of a vector of neurons, the first of which is n.
  template <int P>
  inline void finish(Counters& c, int synapses, Fired<P>& fired, const Neurons& to, std::size_t here, int p, int n) {
    end(c, synapses);
    give(fired, to, here, p, n);
  }

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
#if defined(__AVX512BW__)
    if constexpr (PARTS == 2)
      if (to.sums.type == Type::i16 && n + VECTOR_BYTES <= to.count)
        return store_in_turns(static_cast<std::int16_t*>(to.sums.data) + here * to.count + n, part[0], part[1]);
#endif
    U parts[PARTS][WIDTH];
    T values[VECTOR_BYTES];
    for (int k = 0; k < PARTS; ++k) store(parts[k], part[k]);
    for (int i = 0; i < WIDTH; ++i)
      for (int k = 0; k < PARTS; ++k) values[PARTS * i + k] = static_cast<T>(parts[k][i]);
    if (n < to.count) write(to.sums, here * to.count + n, least(VECTOR_BYTES, to.count - n), values);
  }
};

// The counts of a vector of neurons as bytes, where nothing but a threshold reads them. Disagreements d are within the
// limit l if (d + bias) / 8 <= l / 8, where the bias makes l + bias one less than a multiple of eight. What exceeds a byte
// exceeds every limit but the largest byte, which all are within.
struct Within {
  inline void flush(Counters&) {}

  template <int P>
  inline void finish(Counters& c, int, Fired<P>& fired, const Neurons& to, std::size_t, int p, int n) {
    const std::uint8_t* limits = static_cast<const std::uint8_t*>(to.thresholds) + n;
    const Words rest = c.rest() + load<Words>(limits + to.padded);
    const Words eighths = add_bytes(c.eights, (rest >> 3) & 0x1f1f1f1fu);
    set_at_most(eighths, load<Words>(limits), n, fired.word[p]);
  }
};

// The rows of a window: where the inputs are, and the weights by blocks of neurons.
struct Rows {
  const std::int32_t* offset;  // null if they follow each other
  int length;                  // a multiple of four; each four inputs follow each other
  const std::uint8_t* weights;
  std::size_t block;  // bytes of a block

  inline const std::uint8_t* of(int n) const { return weights + n / BLOCK * block + n % BLOCK; }
};

// Take four rows of G spans of neurons, whose inputs follow each other from number i on; taken(p, g, carried fours).
template <int P, int G, class Input, class Taken>
inline void four_rows(Counters (&c)[P][G], const std::uint8_t* const (&w)[G], int row, int i, Input&& input,
                      Taken&& taken) {
  Words weight[4][G];
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k)
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) weight[k][g] = load<Words>(w[g] + (row + k) * BLOCK);
#pragma GCC unroll 8
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g)
      taken(p, g, c[p][g].four(input(p, i, weight[0][g]), input(p, i + 1, weight[1][g]),
                               input(p, i + 2, weight[2][g]), input(p, i + 3, weight[3][g])));
}

// Count the disagreements of P vectors with the neurons of G spans.
template <int P, int G, bool DIRECT, class Sums, class Input>
inline void count_rows(Counters (&c)[P][G], Sums (&counts)[P][G], const Rows& rows, int n, Input&& input) {
  const auto at = [&rows](int s) { return DIRECT ? s : rows.offset[s]; };
  const std::uint8_t* w[G];
  for (int g = 0; g < G; ++g) w[g] = rows.of(n + g * SPAN);
  const auto next = [&w] {
    for (int g = 0; g < G; ++g) w[g] += 8 * BLOCK;
  };
  int s = 0;
  while (s + 8 <= rows.length) {
    const int end = least(rows.length, s + 8 * MOST_EIGHTS);
    for (; s + 8 <= end; s += 8, next()) {
      Words carried[P][G];
      four_rows(c, w, 0, at(s), input, [&](int p, int g, Words fours) { carried[p][g] = fours; });
      four_rows(c, w, 4, at(s + 4), input,
                [&](int p, int g, Words fours) { c[p][g].eight(carried[p][g], fours); });
    }
    if (s + 8 > rows.length) break;
    for (int p = 0; p < P; ++p)
      for (int g = 0; g < G; ++g) counts[p][g].flush(c[p][g]);
  }
  if (s == rows.length) return;
  four_rows(c, w, 0, at(s), input, [&](int p, int g, Words fours) { c[p][g].fours = byte_ones(fours); });
}

template <class Sums, int P, int G, bool DIRECT>
inline void xnor_span(const std::uint32_t* const (&x)[P], const std::size_t (&at)[P], const Rows& rows, int synapses,
                      int first, const Neurons& to) {
  Fired<P> fired[G];
#pragma GCC unroll 2
  for (int v = 0; v < SPAN; v += VECTOR_BYTES) {
    Counters c[P][G];
    Sums sums[P][G];
    count_rows<P, G, DIRECT>(c, sums, rows, first + v, [&x](int p, int i, Words w) { return w ^ x[p][i]; });
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) sums[p][g].finish(c[p][g], synapses, fired[g], to, at[p], p, first + g * SPAN + v);
  }
  for (int g = 0; g < G; ++g) fired[g].end(to, at, first + g * SPAN);
}

template <class Sums, int P, int G, bool DIRECT>
inline void xnor_places(const std::uint32_t* const (&x)[P], const std::size_t (&at)[P], const Rows& rows, int synapses,
                        const Neurons& to) {
  int first = 0;
  if (G > 1)
    for (; first + (G - 1) * SPAN < to.count; first += G * SPAN)
      xnor_span<Sums, P, G, DIRECT>(x, at, rows, synapses, first, to);
  for (; first < to.count; first += SPAN) xnor_span<Sums, P, 1, DIRECT>(x, at, rows, synapses, first, to);
}

// One window, tap by tap: count(first input of a tap, its rows, neuron, counters, counts) returns how many of its
// synapses are not 0.
template <class T, class Count>
inline void xnor_taps(const Window& g, const Place& place, std::size_t here, const std::uint8_t* weights,
                      const Neurons& to, Count&& count) {
  const std::size_t at[1] = {here}, block = static_cast<std::size_t>(g.kernel_height * g.kernel_width) * g.unit * BLOCK;
  for (int first = 0; first < to.count; first += SPAN) {
    Fired<1> fired;
    for (int n = first; n < first + SPAN; n += VECTOR_BYTES) {
      Counts<T> sums;
      taps(g, place, [&](std::size_t from, int tap) {
        const Rows rows = {nullptr, g.unit, weights + static_cast<std::size_t>(tap) * g.unit * BLOCK, block};
        Counters c[1][1];
        Counts<T> counts[1][1];
        const int synapses = count(from, rows, n, c, counts);
        counts[0][0].end(c[0][0], synapses);
        for (int k = 0; k < Counts<T>::PARTS; ++k) sums.part[k] += counts[0][0].part[k];
      });
      sums.give(fired, to, here, 0, n);
    }
    fired.end(to, at, first);
  }
}

// Windows inside of their images; border(image, place, index) takes the others.
template <class Sums, bool DIRECT, class Border>
inline void xnor_tiles(const std::uint32_t* x, int images, const Window& g, int synapses, const std::uint8_t* weights,
                       const Neurons& to, Border&& border) {
  const int taps = g.kernel_height * g.kernel_width;
  const Rows rows = {g.offsets, taps * g.unit, weights, static_cast<std::size_t>(taps * g.unit) * BLOCK};
  const auto many = [&](const std::uint32_t* const(&from)[PLACES], const std::size_t(&at)[PLACES]) {
    xnor_places<Sums, PLACES, 1, DIRECT>(from, at, rows, taps * synapses, to);
  };
  const auto one = [&](const std::uint32_t* const(&from)[1], const std::size_t(&at)[1]) {
    xnor_places<Sums, 1, SINGLE_GROUPS, DIRECT>(from, at, rows, taps * synapses, to);
  };
  tiles<PLACES>(x, images, g, many, one, border);
}

template <class T, bool DIRECT>
void xnor_sums(const std::uint32_t* x, int images, const Window& g, int synapses, const std::uint8_t* weights,
               const Neurons& to) {
  const auto border = [&](const std::uint32_t* image, const Place& place, std::size_t here) {
    xnor_taps<T>(g, place, here, weights, to, [&](std::size_t from, const Rows& tap, int n, Counters(&c)[1][1],
                                                 Counts<T>(&counts)[1][1]) {
      const std::uint32_t* inputs = image + from;
      count_rows<1, 1, true>(c, counts, tap, n, [inputs](int, int i, Words w) { return w ^ inputs[i]; });
      return synapses;
    });
  };
  xnor_tiles<Counts<T>, DIRECT>(x, images, g, synapses, weights, to, border);
}

template <bool DIRECT>
void xnor_of(const std::uint32_t* x, int images, const Window& g, int synapses, int bytes, const std::uint8_t* weights,
             const Neurons& to) {
  if (bytes == 4) return xnor_sums<std::int32_t, DIRECT>(x, images, g, synapses, weights, to);
  if (bytes == 2) return xnor_sums<std::int16_t, DIRECT>(x, images, g, synapses, weights, to);
  const auto none = [](const std::uint32_t*, const Place&, std::size_t) {};
  xnor_tiles<Within, DIRECT>(x, images, g, synapses, weights, to, none);
}

void xnor(const std::uint32_t* x, int images, const Window& g, int synapses, int bytes, const std::uint8_t* weights,
          const Neurons& to) {
  if (g.offsets) return xnor_of<false>(x, images, g, synapses, bytes, weights, to);
  xnor_of<true>(x, images, g, synapses, bytes, weights, to);
}

template <class T>
void xnor_masked_of(const std::uint32_t* x, const std::uint32_t* mask, int images, const Window& g,
                    const std::uint8_t* weights, const Neurons& to) {
  const std::size_t size = image_size(g);
  windows(images, g, [&](int image, const Place& place, std::size_t here) {
    xnor_taps<T>(g, place, here, weights, to, [&](std::size_t from, const Rows& tap, int n, Counters(&c)[1][1],
                                                 Counts<T>(&counts)[1][1]) {
      const std::uint32_t *signs = x + image * size + from, *used = mask + image * size + from;
      count_rows<1, 1, true>(c, counts, tap, n, [=](int, int i, Words w) { return (w ^ signs[i]) & used[i]; });
      int count = 0;
      for (int s = 0; s < tap.length; ++s) count += __builtin_popcount(used[s] & 0xff);
      return count;
    });
  });
}

void xnor_masked(const std::uint32_t* x, const std::uint32_t* mask, int images, const Window& g, int bytes,
                 const std::uint8_t* weights, const Neurons& to) {
  if (bytes == 4) return xnor_masked_of<std::int32_t>(x, mask, images, g, weights, to);
  xnor_masked_of<std::int16_t>(x, mask, images, g, weights, to);
}

}  // namespace
