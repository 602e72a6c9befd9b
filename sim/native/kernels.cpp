// One version of the kernels; compiled with the options of an instruction set, and BNN2HW_VERSION as its name.

#include "kernels.hpp"

#include "vectors.hpp"

#ifndef BNN2HW_VERSION
#define BNN2HW_VERSION plain
#endif

namespace {

using bnn2hw::Channels;
using bnn2hw::ConstNumbers;
using bnn2hw::Neurons;
using bnn2hw::Type;
using bnn2hw::Window;
typedef bnn2hw::Numbers Output;

constexpr std::size_t CHUNK = 256;  // values that are converted at a time

// Functions of the standard library are shared by all versions: the linker keeps the one of any instruction set.
template <class T>
inline T least(T a, T b) {
  return b < a ? b : a;
}

template <class T>
inline T most(T a, T b) {
  return a < b ? b : a;
}

template <class T, class From>
void copy_as(T* to, const From* from, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<T>(from[i]);
}

inline void to_pairs(std::uint32_t* to, const std::int64_t* from, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<std::uint16_t>(from[i]) * 0x00010001u;
}

template <class T, class From>
inline void to_pairs(T*, const From*, std::size_t) {}  // numbers that are written as pairs are read as int64

template <class T>
void copy_halves(T* to, const std::uint32_t* from, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<T>(static_cast<std::int16_t>(from[i]));
}

template <class T>
void read(ConstNumbers x, std::size_t at, std::size_t count, T* to) {
  switch (x.type) {
    case Type::u8: return copy_as(to, static_cast<const std::uint8_t*>(x.data) + at, count);
    case Type::i8: return copy_as(to, static_cast<const std::int8_t*>(x.data) + at, count);
    case Type::i16: return copy_as(to, static_cast<const std::int16_t*>(x.data) + at, count);
    case Type::pairs: return copy_halves(to, static_cast<const std::uint32_t*>(x.data) + at, count);
    case Type::i32: return copy_as(to, static_cast<const std::int32_t*>(x.data) + at, count);
    case Type::i64: return copy_as(to, static_cast<const std::int64_t*>(x.data) + at, count);
    case Type::f32: return copy_as(to, static_cast<const float*>(x.data) + at, count);
    case Type::f64: return copy_as(to, static_cast<const double*>(x.data) + at, count);
  }
}

template <class T>
void write(Output y, std::size_t at, std::size_t count, const T* from) {
  switch (y.type) {
    case Type::u8: return copy_as(static_cast<std::uint8_t*>(y.data) + at, from, count);
    case Type::i8: return copy_as(static_cast<std::int8_t*>(y.data) + at, from, count);
    case Type::i16: return copy_as(static_cast<std::int16_t*>(y.data) + at, from, count);
    case Type::pairs: return to_pairs(static_cast<std::uint32_t*>(y.data) + at, from, count);
    case Type::i32: return copy_as(static_cast<std::int32_t*>(y.data) + at, from, count);
    case Type::i64: return copy_as(static_cast<std::int64_t*>(y.data) + at, from, count);
    case Type::f32: return copy_as(static_cast<float*>(y.data) + at, from, count);
    case Type::f64: return copy_as(static_cast<double*>(y.data) + at, from, count);
  }
}

// Call f(values, count, index of the first) for the numbers in [begin, begin + count), a chunk at a time.
template <class F>
void chunks(std::size_t count, F&& f) {
  for (std::size_t at = 0; at < count; at += CHUNK) f(at, least(CHUNK, count - at));
}

inline int words_of(int channels) { return (channels + 31) / 32; }

// ---- matrix-vector units -------------------------------------------------------------------------------------------

// Where the first tap of a window lies, and whether all of its taps are inside the image.
struct Place {
  std::int32_t row, column;
  bool inside;
};

// Call f(image, place, index of the place among all) for every window.
template <class F>
inline void windows(int images, const Window& g, F&& f) {
  const int reach_rows = (g.kernel_height - 1) * g.dilation_height;
  const int reach_columns = (g.kernel_width - 1) * g.dilation_width;
  std::size_t index = 0;
  for (int image = 0; image < images; ++image)
    for (int r = 0; r < g.rows; ++r) {
      const int row = r * g.stride_height - g.top;
      const bool rows_inside = row >= 0 && row + reach_rows < g.height;
      for (int c = 0; c < g.columns; ++c) {
        const int column = c * g.stride_width - g.left;
        f(image, Place{row, column, rows_inside && column >= 0 && column + reach_columns < g.width}, index++);
      }
    }
}

// Call f(row, column of an input place, number of the tap) for the taps of a window that are inside the image.
template <class F>
inline void taps(const Window& g, const Place& place, F&& f) {
  for (int i = 0; i < g.kernel_height; ++i)
    for (int j = 0; j < g.kernel_width; ++j) {
      const int row = place.row + i * g.dilation_height, column = place.column + j * g.dilation_width;
      if (row >= 0 && row < g.height && column >= 0 && column < g.width)
        f((static_cast<std::size_t>(row) * g.width + column) * g.unit, i * g.kernel_width + j);
    }
}

inline std::size_t first_input(const Window& g, const Place& place) {
  return (static_cast<std::size_t>(place.row) * g.width + place.column) * g.unit;
}

// Takes the sums of 32 neurons at P places, some at a time, and gives them out.
template <class T, int P>
struct Results {
  static constexpr int WIDTH = VECTOR_BYTES / static_cast<int>(sizeof(T));
  const Neurons& to;
  const std::size_t (&at)[P];
  std::uint32_t word[P] = {};

  Results(const Neurons& neurons, const std::size_t (&places)[P]) : to(neurons), at(places) {}

  inline void take(int p, int n, Vector<T> sums) {
    if (to.fired)
      word[p] |= reached(sums, load<Vector<T>>(static_cast<const T*>(to.thresholds) + n)) << (n % 32);
    if (to.sums.data) give(p, n, sums);
  }

  __attribute__((noinline)) void give(int p, int n, Vector<T> sums) {
    T values[WIDTH];
    store(values, sums);
    if (n < to.count) write(to.sums, at[p] * to.count + n, least(WIDTH, to.count - n), values);
  }

  inline void end(int first) {
    if (!to.fired) return;
    const std::uint32_t used = to.count - first < 32 ? (1u << (to.count - first)) - 1 : ~0u;
    const std::uint32_t falls = to.falls[first / 32];
    const int words = words_of(to.count);
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) to.fired[at[p] * words + first / 32] = (word[p] ^ falls) & used;
  }
};

// Counts the ones of words, lane by lane.
#if defined(__AVX512VPOPCNTDQ__)
constexpr int PLACES = 8, GROUPS = 2;

struct Counters {
  Words total = Words{};
  inline void count(Words v) { total += ones(v); }
  inline Words sum(int) { return total; }
};
#else
#if defined(__AVX512F__)
constexpr int PLACES = 4, GROUPS = 1;
#else
constexpr int PLACES = 2, GROUPS = 1;
#endif

// Of four words, three carry-save additions leave one whose ones count four times (Harley and Seal; W. Mula, N. Kurz,
// D. Lemire, "Faster Population Counts Using AVX2 Instructions", 2018). Counts are kept by byte for up to 124 words.
struct Counters {
  Words total = Words{}, singles = Words{}, fours = Words{}, first = Words{}, second = Words{};
  inline void count(Words v) { singles += byte_ones(v); }
  inline void count(Words a, Words b, Words c, Words d) {
    const Words x = add_bits(first, a, b), y = add_bits(first, c, d);
    fours += byte_ones(add_bits(second, x, y));
  }
  inline void flush() {
    total += byte_sums<4>(fours);
    fours = Words{};
  }
  inline Words sum(int length) {
    singles += byte_ones(first) + (byte_ones(second) << 1);
    if (length <= 24) return total + byte_sums(singles + (fours << 2));  // no byte exceeds 255
    return total + byte_sums(singles) + byte_sums<4>(fours);
  }
};
#endif

// Count the disagreements of P vectors with G groups of neurons over `length` words, which are where `offset` says.
template <int P, int G, bool DIRECT>
inline void count_run(Counters (&c)[P][G], const std::uint32_t* const (&x)[P], const std::int32_t* offset, int length,
                      const std::uint32_t* w, std::size_t padded) {
  const auto at = [offset](int s) { return DIRECT ? s : offset[s]; };
  int s = 0;
#if !defined(__AVX512VPOPCNTDQ__)
  while (s + 4 <= length) {
    const int end = least(length, s + 4 * 31);
    for (; s + 4 <= end; s += 4, w += 4 * padded) {
      const int i = at(s), j = at(s + 1), k = at(s + 2), l = at(s + 3);
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) {
        const std::uint32_t* from = w + g * LANES;
        const Words w0 = load<Words>(from), w1 = load<Words>(from + padded), w2 = load<Words>(from + 2 * padded),
                    w3 = load<Words>(from + 3 * padded);
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) c[p][g].count(w0 ^ x[p][i], w1 ^ x[p][j], w2 ^ x[p][k], w3 ^ x[p][l]);
      }
    }
    if (s + 4 > length) break;
    for (int p = 0; p < P; ++p)
      for (int g = 0; g < G; ++g) c[p][g].flush();
  }
#endif
  for (; s < length; ++s, w += padded) {
    const int i = at(s);
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      const Words weights = load<Words>(w + g * LANES);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) c[p][g].count(weights ^ x[p][i]);
    }
  }
}

template <int P, bool DIRECT>
inline void xnor_places(const std::uint32_t* const (&x)[P], const std::size_t (&at)[P], const std::int32_t* offset,
                        int length, int synapses, const std::uint32_t* weights, const Neurons& to) {
  for (int first = 0; first < to.count; first += 32) {
    Results<std::int32_t, P> results(to, at);
    for (int n = first; n < first + 32 && n < to.count; n += GROUPS * LANES) {
      Counters c[P][GROUPS];
      count_run<P, GROUPS, DIRECT>(c, x, offset, length, weights + n, to.padded);
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
        for (int g = 0; g < GROUPS; ++g)
          results.take(p, n + g * LANES, synapses - 2 * reinterpret_cast<Numbers>(c[p][g].sum(length)));
    }
    results.end(first);
  }
}

// A window at the border of the image: taps outside of it add nothing.
inline void xnor_border(const std::uint32_t* image, const Window& g, const Place& place, std::size_t here,
                        int synapses, const std::uint32_t* weights, const Neurons& to) {
  const std::size_t at[1] = {here};
  for (int first = 0; first < to.count; first += 32) {
    Results<std::int32_t, 1> results(to, at);
    for (int n = first; n < first + 32 && n < to.count; n += LANES) {
      Numbers sums = Numbers{};
      taps(g, place, [&](std::size_t from, int tap) {
        Counters c[1][1];
        const std::uint32_t* x[1] = {image + from};
        const std::uint32_t* w = weights + static_cast<std::size_t>(tap) * g.unit * to.padded + n;
        count_run<1, 1, true>(c, x, nullptr, g.unit, w, to.padded);
        sums += synapses - 2 * reinterpret_cast<Numbers>(c[0][0].sum(g.unit));
      });
      results.take(0, n, sums);
    }
    results.end(first);
  }
}

template <bool DIRECT>
void xnor_windows(const std::uint32_t* x, int images, const Window& g, const std::int32_t* offset, int synapses,
                  const std::uint32_t* weights, const Neurons& to) {
  const int all = g.kernel_height * g.kernel_width, length = all * g.unit;
  const std::size_t size = static_cast<std::size_t>(g.height) * g.width * g.unit;
  const std::uint32_t* from[PLACES];
  std::size_t at[PLACES];
  int waiting = 0;
  windows(images, g, [&](int image, const Place& place, std::size_t here) {
    if (!place.inside) return xnor_border(x + image * size, g, place, here, synapses, weights, to);
    from[waiting] = x + image * size + first_input(g, place);
    at[waiting++] = here;
    if (waiting < PLACES) return;
    xnor_places<PLACES, DIRECT>(from, at, offset, length, all * synapses, weights, to);
    waiting = 0;
  });
  for (int p = 0; p < waiting; ++p)
    xnor_places<1, DIRECT>({from[p]}, {at[p]}, offset, length, all * synapses, weights, to);
}

void xnor(const std::uint32_t* x, int images, const Window& g, int synapses, const std::uint32_t* weights,
          const Neurons& to) {
  if (g.offsets) return xnor_windows<false>(x, images, g, g.offsets, synapses, weights, to);
  xnor_windows<true>(x, images, g, nullptr, synapses, weights, to);
}

void xnor_masked(const std::uint32_t* x, const std::uint32_t* mask, int images, const Window& g,
                 const std::uint32_t* weights, const Neurons& to) {
  const std::size_t size = static_cast<std::size_t>(g.height) * g.width * g.unit;
  windows(images, g, [&](int image, const Place& place, std::size_t here) {
    const std::size_t at[1] = {here};
    for (int first = 0; first < to.count; first += 32) {
      Results<std::int32_t, 1> results(to, at);
      for (int n = first; n < first + 32 && n < to.count; n += LANES) {
        Words disagree = Words{};
        int count = 0;
        taps(g, place, [&](std::size_t from, int tap) {
          const std::uint32_t* w = weights + static_cast<std::size_t>(tap) * g.unit * to.padded + n;
          for (int s = 0; s < g.unit; ++s, w += to.padded) {
            const std::uint32_t m = mask[image * size + from + s];
            count += __builtin_popcount(m);
            disagree += ones((load<Words>(w) ^ x[image * size + from + s]) & m);
          }
        });
        results.take(0, n, count - 2 * reinterpret_cast<Numbers>(disagree));
      }
      results.end(first);
    }
  });
}

// Sums in elements of T, which hold every partial sum exactly.
template <class T>
struct Mac {
  using V = Vector<T>;
  using X = typename Repeated<T>::Stored;
  static constexpr int WIDTH = VECTOR_BYTES / static_cast<int>(sizeof(T));

  static constexpr int GROUPS = WIDTH < 32 ? 2 : 1;

  template <int P, bool DIRECT>
  static void places(const X* const (&x)[P], const std::size_t (&at)[P], const std::int32_t* offset, int length,
                     const T* weights, const Neurons& to) {
    for (int first = 0; first < to.count; first += 32) {
      Results<T, P> results(to, at);
      for (int n = first; n < first + 32 && n < to.count; n += GROUPS * WIDTH) {
        V sums[P][GROUPS] = {};
        const T* w = weights + n;
        for (int s = 0; s < length; ++s, w += to.padded) {
          const int i = DIRECT ? s : offset[s];
          V weight[GROUPS];
          for (int g = 0; g < GROUPS; ++g) weight[g] = load<V>(w + g * WIDTH);
#pragma GCC unroll 8
          for (int p = 0; p < P; ++p) {
            const V value = Repeated<T>::get(x[p][i]);
#pragma GCC unroll 4
            for (int g = 0; g < GROUPS; ++g) sums[p][g] += weight[g] * value;
          }
        }
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
          for (int g = 0; g < GROUPS; ++g) results.take(p, n + g * WIDTH, sums[p][g]);
      }
      results.end(first);
    }
  }

  static void border(const X* image, const Window& g, const Place& place, std::size_t here, const T* weights,
                     const Neurons& to) {
    const std::size_t at[1] = {here};
    for (int first = 0; first < to.count; first += 32) {
      Results<T, 1> results(to, at);
      for (int n = first; n < first + 32 && n < to.count; n += WIDTH) {
        V sums = {};
        taps(g, place, [&](std::size_t from, int tap) {
          const T* w = weights + static_cast<std::size_t>(tap) * g.unit * to.padded + n;
          for (int s = 0; s < g.unit; ++s, w += to.padded) sums += load<V>(w) * Repeated<T>::get(image[from + s]);
        });
        results.take(0, n, sums);
      }
      results.end(first);
    }
  }

  template <bool DIRECT>
  static void all(const X* x, int images, const Window& g, const std::int32_t* offset, const T* weights,
                  const Neurons& to) {
    constexpr int P = sizeof(T) == 2 ? 8 : 4;
    const int length = g.kernel_height * g.kernel_width * g.unit;
    const std::size_t size = static_cast<std::size_t>(g.height) * g.width * g.unit;
    const X* from[P];
    std::size_t at[P];
    int waiting = 0;
    windows(images, g, [&](int image, const Place& place, std::size_t here) {
      if (!place.inside) return border(x + image * size, g, place, here, weights, to);
      from[waiting] = x + image * size + first_input(g, place);
      at[waiting++] = here;
      if (waiting < P) return;
      places<P, DIRECT>(from, at, offset, length, weights, to);
      waiting = 0;
    });
    for (int p = 0; p < waiting; ++p) places<1, DIRECT>({from[p]}, {at[p]}, offset, length, weights, to);
  }

  static void run(const X* x, int images, const Window& g, const T* weights, const Neurons& to) {
    if (g.offsets) return all<false>(x, images, g, g.offsets, weights, to);
    all<true>(x, images, g, nullptr, weights, to);
  }
};

void mac(ConstNumbers x, int images, const Window& g, const void* weights, const Neurons& to) {
  switch (x.type) {
    case Type::pairs:
      return Mac<std::int16_t>::run(static_cast<const std::uint32_t*>(x.data), images, g,
                                    static_cast<const std::int16_t*>(weights), to);
    case Type::f32:
      return Mac<float>::run(static_cast<const float*>(x.data), images, g, static_cast<const float*>(weights), to);
    case Type::f64:
      return Mac<double>::run(static_cast<const double*>(x.data), images, g, static_cast<const double*>(weights), to);
    default:
      return Mac<std::int64_t>::run(static_cast<const std::int64_t*>(x.data), images, g,
                                    static_cast<const std::int64_t*>(weights), to);
  }
}

void depthwise(ConstNumbers x, int images, std::size_t places, int positions, int channels, const std::int64_t* weights,
               Output y) {
  for (std::size_t place = 0; place < places * images; ++place)
    chunks(channels, [&](std::size_t at, std::size_t count) {
      std::int64_t sums[CHUNK] = {}, values[CHUNK];
      for (int p = 0; p < positions; ++p) {
        read(x, (place * positions + p) * channels + at, count, values);
        const std::int64_t* w = weights + static_cast<std::size_t>(p) * channels + at;
        for (std::size_t i = 0; i < count; ++i) sums[i] += w[i] * values[i];
      }
      write(y, place * channels + at, count, sums);
    });
}

// ---- layouts -------------------------------------------------------------------------------------------------------

template <class Test>
void pack_if(ConstNumbers x, std::size_t places, int channels, std::uint32_t* bits, Test&& test) {
  for (std::size_t place = 0; place < places; ++place)
    for (int c = 0; c < channels; c += 32) {
      std::int64_t values[32];
      const int count = least(32, channels - c);
      read(x, place * channels + c, count, values);
      std::uint32_t word = 0;
      for (int i = 0; i < count; ++i) word |= static_cast<std::uint32_t>(test(values[i])) << i;
      *bits++ = word;
    }
}

void pack(ConstNumbers x, std::size_t places, int channels, std::uint32_t* bits) {
  pack_if(x, places, channels, bits, [](std::int64_t v) { return v > 0; });
}

void pack_nonzero(ConstNumbers x, std::size_t places, int channels, std::uint32_t* bits) {
  pack_if(x, places, channels, bits, [](std::int64_t v) { return v != 0; });
}

void unpack(const std::uint32_t* bits, std::size_t places, int channels, std::int64_t low, std::int64_t high,
            Output y) {
  const int words = words_of(channels);
  for (std::size_t place = 0; place < places; ++place)
    for (int w = 0; w < words; ++w) {
      std::int64_t values[32];
      const std::uint32_t word = bits[place * words + w];
      const int count = least(32, channels - 32 * w);
      for (int i = 0; i < count; ++i) values[i] = word >> i & 1 ? high : low;
      write(y, place * channels + 32 * w, count, values);
    }
}

void convert(ConstNumbers x, std::size_t count, Output y) {
  chunks(count, [&](std::size_t at, std::size_t some) {
    std::int64_t values[CHUNK];
    read(x, at, some, values);
    write(y, at, some, values);
  });
}

void coded(ConstNumbers x, std::size_t count, std::int64_t low, std::int64_t step, Output y) {
  chunks(count, [&](std::size_t at, std::size_t some) {
    std::int64_t values[CHUNK];
    read(x, at, some, values);
    for (std::size_t i = 0; i < some; ++i) values[i] = (values[i] - low) / step;
    write(y, at, some, values);
  });
}

// ---- values by channel ---------------------------------------------------------------------------------------------

// Call f(values in, values out, count, first channel) for all values, channel by channel in chunks.
template <class F>
void by_channel(ConstNumbers x, int images, const Channels& c, Output y, F&& f) {
  const std::size_t vectors = c.places * images;
  const std::size_t length = c.rows == 1 ? vectors * c.channels : static_cast<std::size_t>(c.channels);
  for (std::size_t vector = 0; vector < (c.rows == 1 ? 1 : vectors); ++vector)
    chunks(length, [&](std::size_t at, std::size_t count) {
      std::int64_t in[CHUNK], out[CHUNK];
      read(x, vector * length + at, count, in);
      f(in, out, count, c.rows == 1 ? 0 : at);
      write(y, vector * length + at, count, out);
    });
}

void threshold(ConstNumbers x, int images, const Channels& c, int levels, const std::int64_t* thresholds,
               const std::uint8_t* falls, std::int64_t low, std::int64_t step, Output y) {
  // thresholds[level][row]
  by_channel(x, images, c, y, [&](const std::int64_t* in, std::int64_t* out, std::size_t count, std::size_t first) {
    for (std::size_t i = 0; i < count; ++i) out[i] = 0;
    for (int level = 0; level < levels; ++level) {
      const std::int64_t* row = thresholds + static_cast<std::size_t>(level) * c.rows + first;
      if (c.rows == 1)
        for (std::size_t i = 0; i < count; ++i) out[i] += in[i] >= *row;
      else
        for (std::size_t i = 0; i < count; ++i) out[i] += in[i] >= row[i];
    }
    for (std::size_t i = 0; i < count; ++i) {
      const bool down = falls[c.rows == 1 ? 0 : first + i];
      out[i] = low + step * (down ? levels - out[i] : out[i]);
    }
  });
}

void fire(ConstNumbers x, int images, const Channels& c, const std::int64_t* thresholds, const std::uint32_t* falls,
          std::uint32_t* bits) {
  for (std::size_t vector = 0; vector < c.places * images; ++vector)
    for (int first = 0; first < c.channels; first += 32) {
      std::int64_t values[32];
      const int count = least(32, c.channels - first);
      read(x, vector * c.channels + first, count, values);
      std::uint32_t word = 0;
      if (c.rows == 1)
        for (int i = 0; i < count; ++i) word |= static_cast<std::uint32_t>(values[i] >= thresholds[0]) << i;
      else
        for (int i = 0; i < count; ++i) word |= static_cast<std::uint32_t>(values[i] >= thresholds[first + i]) << i;
      word ^= c.rows == 1 ? (falls[0] & 1 ? 0xffffffffu : 0) : falls[first / 32];
      *bits++ = count < 32 ? word & ((1u << count) - 1) : word;
    }
}

void affine(ConstNumbers x, int images, const Channels& c, int segments, const std::int64_t* slopes,
            const std::int64_t* biases, const std::int64_t* cuts, int drop, int shift, std::int64_t low,
            std::int64_t high, Output y) {
  // slopes[row][segment], biases[row][segment], cuts[row][segment - 1]
  by_channel(x, images, c, y, [&](const std::int64_t* in, std::int64_t* out, std::size_t count, std::size_t first) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t row = c.rows == 1 ? 0 : first + i;
      int segment = 0;
      for (int k = 0; k + 1 < segments; ++k) segment += in[i] >= cuts[row * (segments - 1) + k];
      const std::size_t at = row * segments + segment;
      const std::int64_t value = (slopes[at] * (in[i] >> drop) + biases[at]) >> shift;
      out[i] = least(most(value, low), high);
    }
  });
}

void quantize(ConstNumbers x, int images, const Channels& c, const std::int64_t* add, const std::int64_t* mask,
              const std::int64_t* low, const std::int64_t* high, const std::int64_t* tie, bool wraps, int shift,
              Output y) {
  by_channel(x, images, c, y, [&](const std::int64_t* in, std::int64_t* out, std::size_t count, std::size_t first) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t row = c.rows == 1 ? 0 : first + i;
      const std::int64_t rounded = (in[i] + add[row] + ((in[i] & tie[row]) != 0)) & mask[row];
      const std::int64_t limited =
          wraps ? (rounded ^ low[row]) - low[row] : least(most(rounded, low[row]), high[row]);
      out[i] = limited >> shift;
    }
  });
}

void table(ConstNumbers x, int images, const Channels& c, std::int64_t low, std::int64_t step, int entries,
           const std::int64_t* values, Output y) {
  // values[row][entry]
  by_channel(x, images, c, y, [&](const std::int64_t* in, std::int64_t* out, std::size_t count, std::size_t first) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t row = c.rows == 1 ? 0 : first + i;
      out[i] = values[row * entries + (in[i] - low) / step];
    }
  });
}

void lut(const std::uint32_t* bits, ConstNumbers x, std::size_t places, int values, std::int64_t low,
         std::int64_t step, int width, int outputs, int most, const std::int32_t* wires, const std::int64_t* tables,
         std::uint32_t* fired, Output y) {
  // wires[output][input], -1 for none; tables[output][address]. `values` counts the words of a place in `bits`.
  const std::int64_t mask = (std::int64_t{1} << width) - 1;
  for (std::size_t place = 0; place < places; ++place)
    for (int first = 0; first < outputs; first += 32) {
      const int count = least(32, outputs - first);
      std::int64_t found[32];
      for (int i = 0; i < count; ++i) {
        const std::size_t output = first + i;
        std::size_t address = 0;
        for (int j = 0; j < most; ++j) {
          const std::int32_t wire = wires[output * most + j];
          if (wire < 0) continue;
          std::int64_t code = 0;
          if (bits) {
            code = bits[place * values + wire / 32] >> (wire % 32) & 1;
          } else {
            read(x, place * values + wire, 1, &code);
            code = (step == 1 ? code : (code - low) / step) & mask;
          }
          address |= static_cast<std::size_t>(code) << (j * width);
        }
        found[i] = tables[(output << (most * width)) + address];
      }
      if (fired) {
        std::uint32_t word = 0;
        for (int i = 0; i < count; ++i) word |= static_cast<std::uint32_t>(found[i] != 0) << i;
        *fired++ = word;
      } else {
        write(y, place * outputs + first, count, found);
      }
    }
}

void interpolation(ConstNumbers x, std::size_t count, int within, std::int64_t first, int fine,
                   const std::int64_t* bases, const std::int64_t* slopes, Output y) {
  const std::int64_t mask = (std::int64_t{1} << within) - 1;
  chunks(count, [&](std::size_t at, std::size_t some) {
    std::int64_t values[CHUNK];
    read(x, at, some, values);
    for (std::size_t i = 0; i < some; ++i) {
      const std::int64_t stretch = (values[i] >> within) - first;
      values[i] = (bases[stretch] * (mask + 1) + slopes[stretch] * (values[i] & mask)) >> (within + fine);
    }
    write(y, at, some, values);
  });
}

// ---- images --------------------------------------------------------------------------------------------------------

inline std::size_t bytes_of(Type type) {
  switch (type) {
    case Type::u8:
    case Type::i8: return 1;
    case Type::i16: return 2;
    case Type::pairs:
    case Type::i32:
    case Type::f32: return 4;
    default: return 8;
  }
}

void window(ConstNumbers x, int images, const Window& g, Output y) {
  // x and y have the same element type.
  const std::size_t unit = g.unit * bytes_of(y.type);
  const char* from = static_cast<const char*>(x.data);
  char* to = static_cast<char*>(y.data);
  for (int image = 0; image < images; ++image, from += static_cast<std::size_t>(g.height) * g.width * unit)
    for (int row = 0; row < g.rows; ++row)
      for (int column = 0; column < g.columns; ++column)
        for (int i = 0; i < g.kernel_height; ++i)
          for (int j = 0; j < g.kernel_width; ++j, to += unit) {
            const std::size_t there = static_cast<std::size_t>(row * g.stride_height + i * g.dilation_height) * g.width +
                                      column * g.stride_width + j * g.dilation_width;
            std::memcpy(to, from + there * unit, unit);
          }
}

// Copy an image into one that is filled already; places are `unit` bytes.
void place_image(const char* from, char* to, int height, int width, std::size_t unit, int top, int left, int columns,
                 int gap_rows, int gap_columns) {
  for (int row = 0; row < height; ++row) {
    char* line = to + (static_cast<std::size_t>(top + row * gap_rows) * columns + left) * unit;
    if (gap_columns == 1) {
      std::memcpy(line, from, width * unit);
      from += width * unit;
      continue;
    }
    for (int column = 0; column < width; ++column, from += unit)
      std::memcpy(line + static_cast<std::size_t>(column) * gap_columns * unit, from, unit);
  }
}

void pad(ConstNumbers x, int images, int height, int width, int channels, int top, int left, int rows, int columns,
         int gap_rows, int gap_columns, const std::int64_t* value, Output y) {
  // x and y have the same element type.
  const std::size_t unit = channels * bytes_of(y.type);
  const std::size_t places = static_cast<std::size_t>(rows) * columns;
  char* to = static_cast<char*>(y.data);
  const char* from = static_cast<const char*>(x.data);
  for (int image = 0; image < images; ++image) {
    write(y, image * places * channels, channels, value);
    char* first = to + image * places * unit;
    for (std::size_t place = 1; place < places; ++place) std::memcpy(first + place * unit, first, unit);
    place_image(from + static_cast<std::size_t>(image) * height * width * unit, first, height, width, unit, top, left,
                columns, gap_rows, gap_columns);
  }
}

void pad_bits(const std::uint32_t* x, int images, int height, int width, int words, int top, int left, int rows,
              int columns, int gap_rows, int gap_columns, const std::uint32_t* value, std::uint32_t* y) {
  const std::size_t unit = words * sizeof(std::uint32_t), places = static_cast<std::size_t>(rows) * columns;
  for (int image = 0; image < images; ++image, y += places * words) {
    for (std::size_t place = 0; place < places; ++place) std::memcpy(y + place * words, value, unit);
    place_image(reinterpret_cast<const char*>(x + static_cast<std::size_t>(image) * height * width * words),
                reinterpret_cast<char*>(y), height, width, unit, top, left, columns, gap_rows, gap_columns);
  }
}

void pool(ConstNumbers x, int images, int height, int width, int channels, int rows, int columns,
          const std::uint8_t* minimum, Output y) {
  const int out_rows = height / rows, out_columns = width / columns;
  std::size_t to = 0;
  for (int image = 0; image < images; ++image)
    for (int r = 0; r < out_rows; ++r)
      for (int c = 0; c < out_columns; ++c, to += channels)
        chunks(channels, [&](std::size_t at, std::size_t count) {
          std::int64_t best[CHUNK], values[CHUNK];
          for (int i = 0; i < rows * columns; ++i) {
            const std::size_t place = (static_cast<std::size_t>(image) * height + r * rows + i / columns) * width +
                                      c * columns + i % columns;
            read(x, place * channels + at, count, i ? values : best);
            if (i)
              for (std::size_t k = 0; k < count; ++k)
                best[k] = minimum[at + k] ? least(best[k], values[k]) : most(best[k], values[k]);
          }
          write(y, to + at, count, best);
        });
}

void pool_bits(const std::uint32_t* x, int images, int height, int width, int words, int rows, int columns,
               const std::uint32_t* minimum, std::uint32_t* y) {
  for (int image = 0; image < images; ++image)
    for (int r = 0; r < height / rows; ++r)
      for (int c = 0; c < width / columns; ++c)
        for (int w = 0; w < words; ++w) {
          const std::uint32_t* line =
              x + ((static_cast<std::size_t>(image) * height + r * rows) * width + c * columns) * words + w;
          std::uint32_t any = 0, all = ~0u;
          for (int i = 0; i < rows; ++i, line += width * words)
            for (int j = 0; j < columns * words; j += words) {
              any |= line[j];
              all &= line[j];
            }
          *y++ = (any & ~minimum[w]) | (all & minimum[w]);
        }
}

// ---- several inputs ------------------------------------------------------------------------------------------------

void add(ConstNumbers a, ConstNumbers b, std::size_t places, int channels, int first, Output y) {
  const auto both = [&](std::size_t at_a, std::size_t at_b, std::size_t count) {
    std::int64_t sums[CHUNK], values[CHUNK];
    read(a, at_a, count, sums);
    read(b, at_b, count, values);
    for (std::size_t i = 0; i < count; ++i) sums[i] += values[i];
    write(y, at_a, count, sums);
  };
  if (!first) return chunks(places * channels, [&](std::size_t at, std::size_t count) { both(at, at, count); });
  for (std::size_t place = 0; place < places; ++place) {
    chunks(first, [&](std::size_t at, std::size_t count) {
      std::int64_t values[CHUNK];
      read(a, place * channels + at, count, values);
      write(y, place * channels + at, count, values);
    });
    chunks(channels - first, [&](std::size_t at, std::size_t count) {
      both(place * channels + first + at, place * (channels - first) + at, count);
    });
  }
}

void multiply(ConstNumbers a, ConstNumbers b, int images, std::size_t places, int channels, bool per_image, Output y) {
  for (std::size_t place = 0; place < places * images; ++place)
    chunks(channels, [&](std::size_t at, std::size_t count) {
      std::int64_t products[CHUNK], factors[CHUNK];
      read(a, place * channels + at, count, products);
      read(b, (per_image ? place / places : place) * channels + at, count, factors);
      for (std::size_t i = 0; i < count; ++i) products[i] *= factors[i];
      write(y, place * channels + at, count, products);
    });
}

void concat(ConstNumbers a, int a_channels, ConstNumbers b, int b_channels, std::size_t places, Output y) {
  const int channels = a_channels + b_channels;
  std::int64_t values[CHUNK];
  for (std::size_t place = 0; place < places; ++place) {
    chunks(a_channels, [&](std::size_t at, std::size_t count) {
      read(a, place * a_channels + at, count, values);
      write(y, place * channels + at, count, values);
    });
    chunks(b_channels, [&](std::size_t at, std::size_t count) {
      read(b, place * b_channels + at, count, values);
      write(y, place * channels + a_channels + at, count, values);
    });
  }
}

void concat_bits(const std::uint32_t* a, int a_words, const std::uint32_t* b, int b_words, std::size_t places,
                 std::uint32_t* y) {
  for (std::size_t place = 0; place < places; ++place, y += a_words + b_words) {
    std::memcpy(y, a + place * a_words, a_words * sizeof *a);
    std::memcpy(y + a_words, b + place * b_words, b_words * sizeof *b);
  }
}

void largest(ConstNumbers x, std::size_t places, int values, int k, Output y) {
  for (std::size_t place = 0; place < places; ++place) {
    // Each index is the best of those that come after the one before: a smaller value, or an equal one further on.
    std::int64_t last = 0, last_index = -1;
    for (int rank = 0; rank < k; ++rank) {
      std::int64_t best = 0, best_index = -1;
      for (int begin = 0; begin < values; begin += static_cast<int>(CHUNK)) {
        std::int64_t some[CHUNK];
        const int count = least(static_cast<int>(CHUNK), values - begin);
        read(x, place * values + begin, count, some);
        for (int i = 0; i < count; ++i) {
          const bool comes = !rank || some[i] < last || (some[i] == last && begin + i > last_index);
          if (comes && (best_index < 0 || some[i] > best)) {
            best = some[i];
            best_index = begin + i;
          }
        }
      }
      last = best;
      last_index = best_index;
      write(y, place * k + rank, 1, &best_index);
    }
  }
}

}  // namespace

#define BNN2HW_TEXT(x) #x
#define BNN2HW_NAME(x) BNN2HW_TEXT(x)

namespace bnn2hw {
extern const Kernels BNN2HW_VERSION;
const Kernels BNN2HW_VERSION = {
    BNN2HW_NAME(BNN2HW_VERSION), xnor,     xnor_masked, mac,         depthwise, pack,      pack_nonzero,
    unpack,                      convert,  coded,       threshold,   fire,      affine,    quantize,
    table,                       lut,      interpolation, window,    pad,       pad_bits,  pool,
    pool_bits,                   add,      multiply,    concat,      concat_bits, largest,
};
}  // namespace bnn2hw
