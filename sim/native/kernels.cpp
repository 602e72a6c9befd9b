// One version of the kernels; compiled with the options of an instruction set, and BNN2HW_VERSION as its name.

#include "kernels.hpp"

#include <algorithm>
#include <vector>

#include "vectors.hpp"

namespace {

using bnn2hw::Channels;
using bnn2hw::ConstNumbers;
using bnn2hw::Neurons;
using bnn2hw::Type;
using bnn2hw::Window;
typedef bnn2hw::Numbers Output;

constexpr std::size_t CHUNK = 256;  // values that are converted at a time

template <class T, class From>
void copy_as(T* to, const From* from, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] = static_cast<T>(from[i]);
}

template <class T>
void read(ConstNumbers x, std::size_t at, std::size_t count, T* to) {
  switch (x.type) {
    case Type::u8: return copy_as(to, static_cast<const std::uint8_t*>(x.data) + at, count);
    case Type::i8: return copy_as(to, static_cast<const std::int8_t*>(x.data) + at, count);
    case Type::i16: return copy_as(to, static_cast<const std::int16_t*>(x.data) + at, count);
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
    case Type::i32: return copy_as(static_cast<std::int32_t*>(y.data) + at, from, count);
    case Type::i64: return copy_as(static_cast<std::int64_t*>(y.data) + at, from, count);
    case Type::f32: return copy_as(static_cast<float*>(y.data) + at, from, count);
    case Type::f64: return copy_as(static_cast<double*>(y.data) + at, from, count);
  }
}

// Call f(values, count, index of the first) for the numbers in [begin, begin + count), a chunk at a time.
template <class F>
void chunks(std::size_t count, F&& f) {
  for (std::size_t at = 0; at < count; at += CHUNK) f(at, std::min(CHUNK, count - at));
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

// The inputs of a window as one piece of memory: where they are, or copied to `scratch` if they are in several pieces.
template <class T>
inline const T* gathered(const T* image, const Window& g, const Place& place, T* scratch) {
  const T* from = image + (static_cast<std::size_t>(place.row) * g.width + place.column) * g.unit;
  if (g.kernel_height * g.kernel_width == 1) return from;
  if (g.kernel_width == g.width && g.dilation_width == 1 && g.dilation_height == 1) return from;
  T* to = scratch;
  const std::size_t down = static_cast<std::size_t>(g.dilation_height) * g.width * g.unit;
  const int run = g.kernel_width * g.unit;
  for (int i = 0; i < g.kernel_height; ++i, from += down) {
    if (g.dilation_width == 1) {
      for (int s = 0; s < run; ++s) to[s] = from[s];
      to += run;
      continue;
    }
    for (int j = 0; j < g.kernel_width; ++j, to += g.unit)
      std::memcpy(to, from + static_cast<std::size_t>(j) * g.dilation_width * g.unit, g.unit * sizeof(T));
  }
  return scratch;
}

// Memory for what `gathered` copies; grows once per thread.
template <class T>
inline T* scratch(std::size_t count) {
  thread_local std::vector<T> memory;
  if (memory.size() < count) memory.resize(count);
  return memory.data();
}

// Give the sums of some neurons from n on at one place.
template <class T>
inline void finish(const Neurons& to, std::size_t at, int n, Vector<T> sums) {
  constexpr int WIDTH = VECTOR_BYTES / static_cast<int>(sizeof(T));
  if (to.fired) {
    std::uint32_t bits = bits_of(sums >= load<Vector<T>>(static_cast<const T*>(to.thresholds) + n));
    bits ^= to.falls[n / 32] >> (n % 32);
    const int some = std::min(WIDTH, to.count - n);
    if (some < 32) bits &= (1u << some) - 1;
    to.fired[at * words_of(to.count) + n / 32] |= bits << (n % 32);
  }
  if (to.sums.data) {
    T values[WIDTH];
    store(values, sums);
    write(to.sums, at * to.count + n, std::min(WIDTH, to.count - n), values);
  }
}

inline void clear(const Neurons& to, std::size_t places) {
  if (to.fired) std::memset(to.fired, 0, places * words_of(to.count) * 4);
}

// Counts the ones of words, lane by lane.
#if defined(__AVX512VPOPCNTDQ__)
constexpr int PLACES = 4, GROUPS = 4;

struct Counters {
  Words total = Words{};
  inline void count(Words v) { total += ones(v); }
  inline Words sum() { return total; }
};
#else
#if defined(__AVX512F__)
constexpr int PLACES = 4, GROUPS = 1;
#else
constexpr int PLACES = 2, GROUPS = 1;
#endif

// Of four words, three carry-save additions leave one whose ones count four times (Harley and Seal; W. Mula, N. Kurz,
// D. Lemire, "Faster Population Counts Using AVX2 Instructions", 2018). Its counts are kept by byte, up to 31 of them.
struct Counters {
  Words total = Words{}, bytes = Words{}, first = Words{}, second = Words{};
  inline static Words add(Words& low, Words a, Words b) {
    const Words u = low ^ a, high = (low & a) | (u & b);
    low = u ^ b;
    return high;
  }
  inline void count(Words v) { total += ones(v); }
  inline void count(Words a, Words b, Words c, Words d) {
    const Words x = add(first, a, b), y = add(first, c, d);
    bytes += byte_ones(add(second, x, y));
  }
  inline void flush() {
    total += byte_sums(bytes) << 2;
    bytes = Words{};
  }
  inline Words sum() {
    flush();
    return total + ones(first) + (ones(second) << 1);
  }
};
#endif

// Count the disagreements of P vectors with G groups of neurons over `length` words.
template <int P, int G>
inline void count_run(Counters (&c)[P][G], const std::uint32_t* const (&x)[P], int length, const std::uint32_t* w,
                      std::size_t padded) {
  int s = 0;
#if !defined(__AVX512VPOPCNTDQ__)
  while (s + 4 <= length) {
    const int end = std::min(length, s + 4 * 31);
    for (; s + 4 <= end; s += 4, w += 4 * padded)
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) {
        const std::uint32_t* at = w + g * LANES;
        const Words w0 = load<Words>(at), w1 = load<Words>(at + padded), w2 = load<Words>(at + 2 * padded),
                    w3 = load<Words>(at + 3 * padded);
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p)
          c[p][g].count(w0 ^ x[p][s], w1 ^ x[p][s + 1], w2 ^ x[p][s + 2], w3 ^ x[p][s + 3]);
      }
    for (int p = 0; p < P; ++p)
      for (int g = 0; g < G; ++g) c[p][g].flush();
  }
#endif
  for (; s < length; ++s, w += padded)
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      const Words weights = load<Words>(w + g * LANES);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) c[p][g].count(weights ^ x[p][s]);
    }
}

template <int P, int G>
inline void xnor_block(const std::uint32_t* const (&x)[P], const std::size_t (&at)[P], int length, int n, int synapses,
                       const std::uint32_t* weights, const Neurons& to) {
  Counters c[P][G];
  count_run<P, G>(c, x, length, weights + n, to.padded);
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g)
      if (n + g * LANES < to.count)
        finish<std::int32_t>(to, at[p], n + g * LANES, synapses - 2 * reinterpret_cast<Numbers>(c[p][g].sum()));
}

template <int P>
inline void xnor_places(const std::uint32_t* const (&x)[P], const std::size_t (&at)[P], int length, int synapses,
                        const std::uint32_t* weights, const Neurons& to) {
  int n = 0;
  for (; n + GROUPS * LANES <= to.padded && n < to.count; n += GROUPS * LANES)
    xnor_block<P, GROUPS>(x, at, length, n, synapses, weights, to);
  for (; n < to.count; n += LANES) xnor_block<P, 1>(x, at, length, n, synapses, weights, to);
}

// A window at the border of the image: taps outside of it add nothing.
inline void xnor_border(const std::uint32_t* image, const Window& g, const Place& place, std::size_t at, int synapses,
                        const std::uint32_t* weights, const Neurons& to) {
  for (int n = 0; n < to.count; n += LANES) {
    Counters c[1][1];
    int inside = 0;
    taps(g, place, [&](std::size_t from, int tap) {
      const std::uint32_t* x[1] = {image + from};
      count_run<1, 1>(c, x, g.unit, weights + static_cast<std::size_t>(tap) * g.unit * to.padded + n, to.padded);
      ++inside;
    });
    finish<std::int32_t>(to, at, n, inside * synapses - 2 * reinterpret_cast<Numbers>(c[0][0].sum()));
  }
}

void xnor(const std::uint32_t* x, int images, const Window& g, int synapses, const std::uint32_t* weights,
          const Neurons& to) {
  const int all = g.kernel_height * g.kernel_width, length = all * g.unit;
  const std::size_t size = static_cast<std::size_t>(g.height) * g.width * g.unit;
  clear(to, static_cast<std::size_t>(images) * g.rows * g.columns);
  std::uint32_t* const copies = scratch<std::uint32_t>(static_cast<std::size_t>(PLACES) * length);
  const std::uint32_t* from[PLACES];
  std::size_t at[PLACES];
  int waiting = 0;
  windows(images, g, [&](int image, const Place& place, std::size_t here) {
    if (!place.inside) return xnor_border(x + image * size, g, place, here, synapses, weights, to);
    from[waiting] = gathered(x + image * size, g, place, copies + static_cast<std::size_t>(waiting) * length);
    at[waiting++] = here;
    if (waiting < PLACES) return;
    xnor_places<PLACES>(from, at, length, all * synapses, weights, to);
    waiting = 0;
  });
  for (int p = 0; p < waiting; ++p)
    xnor_places<1>({from[p]}, {at[p]}, length, all * synapses, weights, to);
}

void xnor_masked(const std::uint32_t* x, const std::uint32_t* mask, int images, const Window& g,
                 const std::uint32_t* weights, const Neurons& to) {
  const std::size_t size = static_cast<std::size_t>(g.height) * g.width * g.unit;
  clear(to, static_cast<std::size_t>(images) * g.rows * g.columns);
  windows(images, g, [&](int image, const Place& place, std::size_t here) {
    for (int n = 0; n < to.count; n += LANES) {
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
      finish<std::int32_t>(to, here, n, count - 2 * reinterpret_cast<Numbers>(disagree));
    }
  });
}

// Sums in elements of T, which hold every partial sum exactly.
template <class T>
struct Mac {
  using V = Vector<T>;
  static constexpr int WIDTH = VECTOR_BYTES / static_cast<int>(sizeof(T));

  template <int P>
  static void places(const T* const (&x)[P], const std::size_t (&at)[P], int length, const T* weights,
                     const Neurons& to) {
    for (int n = 0; n < to.count; n += WIDTH) {
      V sums[P] = {};
      const T* w = weights + n;
      for (int s = 0; s < length; ++s, w += to.padded) {
        const V weight = load<V>(w);
#pragma GCC unroll 8
        for (int p = 0; p < P; ++p) sums[p] += weight * x[p][s];
      }
#pragma GCC unroll 8
      for (int p = 0; p < P; ++p) finish<T>(to, at[p], n, sums[p]);
    }
  }

  static void border(const T* image, const Window& g, const Place& place, std::size_t at, const T* weights,
                     const Neurons& to) {
    for (int n = 0; n < to.count; n += WIDTH) {
      V sums = {};
      taps(g, place, [&](std::size_t from, int tap) {
        const T* w = weights + static_cast<std::size_t>(tap) * g.unit * to.padded + n;
        for (int s = 0; s < g.unit; ++s, w += to.padded) sums += load<V>(w) * image[from + s];
      });
      finish<T>(to, at, n, sums);
    }
  }

  static void run(const T* x, int images, const Window& g, const T* weights, const Neurons& to) {
    constexpr int P = 4;
    const int length = g.kernel_height * g.kernel_width * g.unit;
    const std::size_t size = static_cast<std::size_t>(g.height) * g.width * g.unit;
    clear(to, static_cast<std::size_t>(images) * g.rows * g.columns);
    T* const copies = scratch<T>(static_cast<std::size_t>(P) * length);
    const T* from[P];
    std::size_t at[P];
    int waiting = 0;
    windows(images, g, [&](int image, const Place& place, std::size_t here) {
      if (!place.inside) return border(x + image * size, g, place, here, weights, to);
      from[waiting] = gathered(x + image * size, g, place, copies + static_cast<std::size_t>(waiting) * length);
      at[waiting++] = here;
      if (waiting < P) return;
      places<P>(from, at, length, weights, to);
      waiting = 0;
    });
    for (int p = 0; p < waiting; ++p) places<1>({from[p]}, {at[p]}, length, weights, to);
  }
};

void mac(ConstNumbers x, int images, const Window& g, const void* weights, const Neurons& to) {
  switch (x.type) {
    case Type::i16:
      return Mac<std::int16_t>::run(static_cast<const std::int16_t*>(x.data), images, g,
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
      const int count = std::min(32, channels - c);
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
      const int count = std::min(32, channels - 32 * w);
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
    std::fill(out, out + count, 0);
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
      const int count = std::min(32, c.channels - first);
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
      out[i] = std::min(std::max(value, low), high);
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
                best[k] = minimum[at + k] ? std::min(best[k], values[k]) : std::max(best[k], values[k]);
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
          std::uint32_t any = 0, all = ~0u;
          for (int i = 0; i < rows; ++i)
            for (int j = 0; j < columns; ++j) {
              const std::size_t place =
                  (static_cast<std::size_t>(image) * height + r * rows + i) * width + c * columns + j;
              any |= x[place * words + w];
              all &= x[place * words + w];
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
        const int count = std::min(static_cast<int>(CHUNK), values - begin);
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
    unpack,                      convert,  coded,       threshold,   fire,      affine,    table,
    interpolation,               window,   pad,         pad_bits,    pool,      pool_bits, add,
    multiply,                    concat,   concat_bits, largest,
};
}  // namespace bnn2hw
