// One version of the kernels; compiled with the options of an instruction set, and BNN2HW_VERSION as its name.

#include "kernels.hpp"

#include "matrix.hpp"
#include "numbers.hpp"
#include "signs.hpp"

#ifndef BNN2HW_VERSION
#define BNN2HW_VERSION plain
#endif

namespace {

using Wide = Vector<std::int64_t>;
constexpr int WIDE = VECTOR_BYTES / 8;  // numbers of 64 bits in a vector

inline Wide wide_numbers(const std::int64_t* from) { return load<Wide>(from); }
inline Wide wide_numbers(const std::int32_t* from) { return widened(from); }

inline void store_numbers(std::int64_t* to, Wide v) { store(to, v); }
inline void store_numbers(std::int32_t* to, Wide v) { store_narrowed(to, v); }

inline Wide sum_of(Wide a, Wide b) {  // may wrap
  using U = Vector<std::uint64_t>;
  return reinterpret_cast<Wide>(reinterpret_cast<U>(a) + reinterpret_cast<U>(b));
}

template <bool NARROW>
inline Wide product_of(Wide a, Wide b) {  // may wrap
  if constexpr (NARROW) return narrow_products(a, b);
  using U = Vector<std::uint64_t>;
  return reinterpret_cast<Wide>(reinterpret_cast<U>(a) * reinterpret_cast<U>(b));
}

// sums[i] += weights[i] * values[i]
template <bool NARROW, class T>
inline void add_products(std::int64_t* sums, const std::int64_t* weights, const T* values, std::size_t count) {
  std::size_t i = 0;
  for (; i + WIDE <= count; i += WIDE)
    store(sums + i,
          sum_of(load<Wide>(sums + i), product_of<NARROW>(load<Wide>(weights + i), wide_numbers(values + i))));
  for (; i < count; ++i) sums[i] += weights[i] * values[i];
}

template <bool NARROW>
void depthwise_of(ConstNumbers x, std::size_t places, int positions, int channels, const std::int64_t* weights,
                  Output y) {
  using T = typename std::conditional<NARROW, std::int32_t, std::int64_t>::type;
  const std::size_t all = static_cast<std::size_t>(positions) * channels;
  Reader<T> reader(x);
  for (std::size_t place = 0; place < places; ++place) {
    if (all <= CHUNK) {
      std::int64_t sums[CHUNK] = {};
      const T* values = reader.get(place * all, all);
      for (int p = 0; p < positions; ++p)
        add_products<NARROW>(sums, weights + p * channels, values + p * channels, channels);
      write(y, place * channels, channels, sums);
      continue;
    }
    chunks(channels, [&](std::size_t at, std::size_t count) {
      std::int64_t sums[CHUNK] = {};
      for (int p = 0; p < positions; ++p) {
        const T* values = reader.get((place * positions + p) * channels + at, count);
        add_products<NARROW>(sums, weights + static_cast<std::size_t>(p) * channels + at, values, count);
      }
      write(y, place * channels + at, count, sums);
    });
  }
}

void depthwise(ConstNumbers x, int images, std::size_t places, int positions, int channels, const std::int64_t* weights,
               bool narrow, Output y) {
  if (narrow) return depthwise_of<true>(x, places * images, positions, channels, weights, y);
  depthwise_of<false>(x, places * images, positions, channels, weights, y);
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

void pack_bytes(const std::int8_t* from, std::size_t places, int channels, std::uint32_t* bits) {
  for (std::size_t place = 0; place < places; ++place, from += channels)
    for (int c = 0; c < channels; c += 32) {
      std::int8_t last[32] = {};
      const bool whole = c + 32 <= channels;
      if (!whole) std::memcpy(last, from + c, channels - c);
      *bits++ = positive_bits(whole ? from + c : last);
    }
}

void pack(ConstNumbers x, std::size_t places, int channels, std::uint32_t* bits) {
  if (x.type == Type::i8) return pack_bytes(static_cast<const std::int8_t*>(x.data), places, channels, bits);
  pack_if(x, places, channels, bits, [](std::int64_t v) { return v > 0; });
}

void pack_nonzero(ConstNumbers x, std::size_t places, int channels, std::uint32_t* bits) {
  pack_if(x, places, channels, bits, [](std::int64_t v) { return v != 0; });
}

void spread(const std::uint32_t* bits, std::size_t words, std::uint32_t* y) {
  for (std::size_t i = 0; i < words; ++i, y += 4) repeat_bytes(bits[i], y);
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
template <class T = std::int64_t, class F>
void by_channel(ConstNumbers x, int images, const Channels& c, Output y, F&& f) {
  const std::size_t vectors = c.places * images;
  const std::size_t length = c.rows == 1 ? vectors * c.channels : static_cast<std::size_t>(c.channels);
  Reader<T> reader(x);
  Writer<T> writer(y);
  for (std::size_t vector = 0; vector < (c.rows == 1 ? 1 : vectors); ++vector)
    chunks(length, [&](std::size_t first, std::size_t count) {
      const std::size_t at = vector * length + first;
      f(reader.get(at, count), writer.room(at), count, c.rows == 1 ? 0 : first);
      writer.put(at, count);
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

// Bit i is set where value i reaches its threshold.
template <bool ONE, class T>
inline std::uint32_t reached_bits(const T* values, const T* thresholds, int count) {
  using V = Vector<T>;
  constexpr int WIDTH = VECTOR_BYTES / static_cast<int>(sizeof(T));
  std::uint32_t word = 0;
  int i = 0;
  for (; i + WIDTH <= count; i += WIDTH)
    word |= reached(load<V>(values + i), ONE ? same<V>(*thresholds) : load<V>(thresholds + i)) << i;
  for (; i < count; ++i) word |= static_cast<std::uint32_t>(values[i] >= thresholds[ONE ? 0 : i]) << i;
  return word;
}

template <class T>
void fire_of(ConstNumbers x, int images, const Channels& c, const T* thresholds, const std::uint32_t* falls,
             std::uint32_t* bits) {
  Reader<T> reader(x);
  for (std::size_t vector = 0; vector < c.places * images; ++vector)
    for (int first = 0; first < c.channels; first += 32) {
      const int count = least(32, c.channels - first);
      const T* values = reader.get(vector * c.channels + first, count);
      std::uint32_t word = c.rows == 1 ? reached_bits<true>(values, thresholds, count)
                                       : reached_bits<false>(values, thresholds + first, count);
      word ^= c.rows == 1 ? (falls[0] & 1 ? 0xffffffffu : 0) : falls[first / 32];
      *bits++ = count < 32 ? word & ((1u << count) - 1) : word;
    }
}

void fire(ConstNumbers x, int images, const Channels& c, ConstNumbers thresholds, const std::uint32_t* falls,
          std::uint32_t* bits) {
  if (thresholds.type == Type::i32)
    return fire_of(x, images, c, static_cast<const std::int32_t*>(thresholds.data), falls, bits);
  fire_of(x, images, c, static_cast<const std::int64_t*>(thresholds.data), falls, bits);
}

// Lines over values: the last one whose cut is reached counts. Sums of the others may wrap.
struct Lines {
  int segments;
  const std::int64_t *slopes, *biases, *cuts;  // by segment, `rows` apart
  std::size_t rows;
  int drop, shift;
  std::int64_t low, high;

  Lines from(std::size_t first) const {
    Lines made = *this;
    made.slopes += first;
    made.biases += first;
    if (segments > 1) made.cuts += first;
    return made;
  }

  std::int64_t one(std::int64_t value, std::size_t row) const {
    std::int64_t sum = 0;
    for (int k = 0; k < segments; ++k, row += rows) {
      if (k && value < cuts[row - rows]) break;  // cuts ascend
      const auto product = static_cast<std::uint64_t>(slopes[row]) * static_cast<std::uint64_t>(value >> drop);
      sum = static_cast<std::int64_t>(product + static_cast<std::uint64_t>(biases[row]));
    }
    return least(most(sum >> shift, low), high);
  }

  template <bool ONE, bool NARROW>
  inline Wide vector(Wide value, std::size_t row) const {
    const auto constant = [](const std::int64_t* c) { return ONE ? same<Wide>(*c) : load<Wide>(c); };
    const Wide x = value >> drop;
    Wide sum = Wide{};
    for (int k = 0; k < segments; ++k, row += rows) {
      const Wide here = sum_of(product_of<NARROW>(constant(slopes + row), x), constant(biases + row));
      sum = k ? (value >= constant(cuts + row - rows) ? here : sum) : here;
    }
    sum >>= shift;
    const Wide least_of = same<Wide>(low), most_of = same<Wide>(high);
    sum = sum < least_of ? least_of : sum;
    return sum > most_of ? most_of : sum;
  }

  template <bool ONE, bool NARROW, class T>
  void run(const T* in, T* out, std::size_t count) const {
    std::size_t i = 0;
    for (; i + WIDE <= count; i += WIDE) store_numbers(out + i, vector<ONE, NARROW>(wide_numbers(in + i), ONE ? 0 : i));
    for (; i < count; ++i) out[i] = static_cast<T>(one(in[i], ONE ? 0 : i));
  }
};

template <bool ONE, bool NARROW>
void affine_of(ConstNumbers x, int images, const Channels& c, const Lines& all, Output y) {
  const auto run = [&](auto number) {
    using T = decltype(number);
    by_channel<T>(x, images, c, y, [&](const T* in, T* out, std::size_t count, std::size_t first) {
      all.from(first).template run<ONE, NARROW>(in, out, count);
    });
  };
  with_width(run, x.type, y.type);
}

void affine(ConstNumbers x, int images, const Channels& c, int segments, const std::int64_t* slopes,
            const std::int64_t* biases, const std::int64_t* cuts, int drop, int shift, bool narrow, std::int64_t low,
            std::int64_t high, Output y) {
  const Lines all = {segments, slopes, biases, cuts, static_cast<std::size_t>(c.rows), drop, shift, low, high};
  if (c.rows == 1)
    narrow ? affine_of<true, true>(x, images, c, all, y) : affine_of<true, false>(x, images, c, all, y);
  else
    narrow ? affine_of<false, true>(x, images, c, all, y) : affine_of<false, false>(x, images, c, all, y);
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

template <class T>
void table_of(ConstNumbers x, int images, const Channels& c, T low, T step, int entries, const T* values, Output y) {
  const bool shifts = (step & (step - 1)) == 0;
  const int by = shifts ? __builtin_ctzll(static_cast<unsigned long long>(step)) : 0;
  by_channel<T>(x, images, c, y, [&](const T* in, T* out, std::size_t count, std::size_t first) {
    if (shifts)
      for (std::size_t i = 0; i < count; ++i) out[i] = (in[i] - low) >> by;
    else
      for (std::size_t i = 0; i < count; ++i) out[i] = (in[i] - low) / step;
    const T* row = values + first * entries;
    if (c.rows == 1)
      for (std::size_t i = 0; i < count; ++i) out[i] = row[out[i]];
    else
      for (std::size_t i = 0; i < count; ++i) out[i] = row[i * entries + out[i]];
  });
}

void table(ConstNumbers x, int images, const Channels& c, std::int64_t low, std::int64_t step, int entries,
           ConstNumbers values, Output y) {
  if (values.type == Type::i64)
    return table_of(x, images, c, low, step, entries, static_cast<const std::int64_t*>(values.data), y);
  table_of(x, images, c, static_cast<std::int32_t>(low), static_cast<std::int32_t>(step), entries,
           static_cast<const std::int32_t*>(values.data), y);
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

// Fill places of `unit` bytes with the first one, which is there already.
void repeat(char* first, std::size_t unit, std::size_t places) {
  const std::size_t all = unit * places;
  for (std::size_t done = unit; done < all;) {
    const std::size_t more = least(done, all - done);
    std::memcpy(first + done, first, more);
    done += more;
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
    repeat(first, unit, places);
    place_image(from + static_cast<std::size_t>(image) * height * width * unit, first, height, width, unit, top, left,
                columns, gap_rows, gap_columns);
  }
}

void pad_bits(const std::uint32_t* x, int images, int height, int width, int words, int top, int left, int rows,
              int columns, int gap_rows, int gap_columns, const std::uint32_t* value, std::uint32_t* y) {
  const std::size_t unit = words * sizeof(std::uint32_t), places = static_cast<std::size_t>(rows) * columns;
  for (int image = 0; image < images; ++image, y += places * words) {
    std::memcpy(y, value, unit);
    repeat(reinterpret_cast<char*>(y), unit, places);
    place_image(reinterpret_cast<const char*>(x + static_cast<std::size_t>(image) * height * width * words),
                reinterpret_cast<char*>(y), height, width, unit, top, left, columns, gap_rows, gap_columns);
  }
}

// The largest values of a window, or the smallest ones where `minimum` is not null and says so.
template <class T>
inline void pick(T* best, const T* values, std::size_t count, const std::uint8_t* minimum) {
  if (!minimum)
    for (std::size_t k = 0; k < count; ++k) best[k] = most(best[k], values[k]);
  else
    for (std::size_t k = 0; k < count; ++k)
      best[k] = minimum[k] ? least(best[k], values[k]) : most(best[k], values[k]);
}

void pool(ConstNumbers x, int images, const Window& g, const std::uint8_t* minimum, Output y) {
  bool some = false;
  for (int c = 0; c < g.unit; ++c) some = some || minimum[c];
  const std::size_t size = image_size(g);
  const auto run = [&](auto number) {
    using T = decltype(number);
    Reader<T> reader(x);
    windows(images, g, [&](int image, const Place& place, std::size_t here) {
      chunks(g.unit, [&](std::size_t at, std::size_t count) {
        T best[CHUNK];
        taps(g, place, [&](std::size_t from, int tap) {
          const T* values = reader.get(image * size + from + at, count);
          if (tap)
            pick(best, values, count, some ? minimum + at : nullptr);
          else
            std::memcpy(best, values, count * sizeof *values);
        });
        write(y, here * g.unit + at, count, best);
      });
    });
  };
  with_width(run, x.type, y.type);
}

// The largest bits of a window, or the smallest ones where `minimum` is set.
template <bool MIXED>
struct PoolBits {
  int width, words, rows, columns;
  const std::uint32_t* minimum;

  inline std::uint32_t pick(std::uint32_t any, std::uint32_t all, int w) const {
    return MIXED ? (any & ~minimum[w]) | (all & minimum[w]) : any;
  }

  void line(const std::uint32_t* x, std::uint32_t* y) const {
    for (int c = 0; c < width / columns; ++c, x += columns * words)
      for (int w = 0; w < words; ++w) {
        const std::uint32_t* from = x + w;
        std::uint32_t any = 0, all = ~0u;
        for (int i = 0; i < rows; ++i, from += width * words)
          for (int j = 0; j < columns * words; j += words) {
            any |= from[j];
            all &= from[j];
          }
        *y++ = pick(any, all, w);
      }
  }

  // The same for windows of two by two.
  void pairs(const std::uint32_t* x, std::uint32_t* y) const {
    const std::uint32_t* below = x + width * words;
    const auto one = [&](int i, int w) {
      const int j = i + words;
      return pick(x[i] | x[j] | below[i] | below[j], x[i] & x[j] & below[i] & below[j], w);
    };
    if (words == 1) {
      for (int c = 0; c < width / 2; ++c) y[c] = one(2 * c, 0);
      return;
    }
    for (int c = 0; c < width / 2; ++c)
      for (int w = 0; w < words; ++w) *y++ = one(2 * c * words + w, w);
  }

  void run(const std::uint32_t* x, int images, int height, std::uint32_t* y) const {
    for (int image = 0; image < images; ++image, x += static_cast<std::size_t>(height) * width * words)
      for (int r = 0; r < height / rows; ++r, y += width / columns * words) {
        const std::uint32_t* from = x + static_cast<std::size_t>(r) * rows * width * words;
        if (rows == 2 && columns == 2)
          pairs(from, y);
        else
          line(from, y);
      }
  }
};

void pool_bits(const std::uint32_t* x, int images, int height, int width, int words, int rows, int columns,
               const std::uint32_t* minimum, std::uint32_t* y) {
  std::uint32_t some = 0;
  for (int w = 0; w < words; ++w) some |= minimum[w];
  if (some) return PoolBits<true>{width, words, rows, columns, minimum}.run(x, images, height, y);
  PoolBits<false>{width, words, rows, columns, minimum}.run(x, images, height, y);
}

// ---- several inputs ------------------------------------------------------------------------------------------------

void add(ConstNumbers a, ConstNumbers b, std::size_t places, int channels, int first, Output y) {
  const auto run = [&](auto number) {
    using T = decltype(number);
    Reader<T> reader_a(a), reader_b(b);
    Writer<T> writer(y);
    const auto both = [&](std::size_t at_a, std::size_t at_b, std::size_t count) {
      const T *some = reader_a.get(at_a, count), *others = reader_b.get(at_b, count);
      T* sums = writer.room(at_a);
      for (std::size_t i = 0; i < count; ++i) sums[i] = some[i] + others[i];
      writer.put(at_a, count);
    };
    if (!first) return chunks(places * channels, [&](std::size_t at, std::size_t count) { both(at, at, count); });
    for (std::size_t place = 0; place < places; ++place) {
      chunks(first, [&](std::size_t at, std::size_t count) {
        T values[CHUNK];
        read(a, place * channels + at, count, values);
        write(y, place * channels + at, count, values);
      });
      chunks(channels - first, [&](std::size_t at, std::size_t count) {
        both(place * channels + first + at, place * (channels - first) + at, count);
      });
    }
  };
  with_width(run, a.type, b.type, y.type);
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
    BNN2HW_NAME(BNN2HW_VERSION), xnor, xnor_masked, dot, dot_words, mac, depthwise,   pack,   pack_nonzero,
    spread,                      unpack,   convert,     coded,     threshold,     fire,        affine, quantize,
    table,                       lut,      interpolation, window,  pad,           pad_bits,    pool,   pool_bits,
    add,                         multiply, concat,      concat_bits, largest,
};
}  // namespace bnn2hw
