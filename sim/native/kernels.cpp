// One version of the kernels; compiled with the options of an instruction set, and BNN2HW_VERSION as its name.

#include "kernels.hpp"

#include "matrix.hpp"
#include "numbers.hpp"
#include "signs.hpp"

#ifndef BNN2HW_VERSION
#define BNN2HW_VERSION plain
#endif

namespace {

void depthwise(ConstNumbers x, int images, std::size_t places, int positions, int channels, const std::int64_t* weights,
               Output y) {
  const std::size_t all = static_cast<std::size_t>(positions) * channels;
  for (std::size_t place = 0; place < places * images; ++place) {
    if (all <= CHUNK) {
      std::int64_t sums[CHUNK] = {}, values[CHUNK];
      read(x, place * all, all, values);
      for (int p = 0; p < positions; ++p)
        for (int c = 0; c < channels; ++c) sums[c] += weights[p * channels + c] * values[p * channels + c];
      write(y, place * channels, channels, sums);
      continue;
    }
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

// The sums of a segment, where its cut is reached if it has one; row(i) is the row of value i.
template <class Row>
inline void segment(const std::int64_t* in, std::int64_t* out, std::size_t count, int drop, const std::int64_t* cut,
                    Row&& row, const std::int64_t* slope, const std::int64_t* bias) {
  // Sums of a segment that does not count may wrap.
  const auto sum = [&](std::size_t i) {
    const auto product = static_cast<std::uint64_t>(slope[row(i)]) * static_cast<std::uint64_t>(in[i] >> drop);
    return static_cast<std::int64_t>(product + static_cast<std::uint64_t>(bias[row(i)]));
  };
  if (!cut)
    for (std::size_t i = 0; i < count; ++i) out[i] = sum(i);
  else
    for (std::size_t i = 0; i < count; ++i) out[i] = in[i] >= cut[row(i)] ? sum(i) : out[i];
}

void affine(ConstNumbers x, int images, const Channels& c, int segments, const std::int64_t* slopes,
            const std::int64_t* biases, const std::int64_t* cuts, int drop, int shift, std::int64_t low,
            std::int64_t high, Output y) {
  // Cuts ascend: the last segment whose cut is reached counts.
  by_channel(x, images, c, y, [&](const std::int64_t* in, std::int64_t* out, std::size_t count, std::size_t first) {
    for (int k = 0; k < segments; ++k) {
      const std::size_t at = static_cast<std::size_t>(k) * c.rows + first;
      const std::int64_t *slope = slopes + at, *bias = biases + at, *cut = k ? cuts + at - c.rows : nullptr;
      if (c.rows == 1)
        segment(in, out, count, drop, cut, [=](std::size_t) { return 0; }, slope, bias);
      else
        segment(in, out, count, drop, cut, [](std::size_t i) { return i; }, slope, bias);
    }
    for (std::size_t i = 0; i < count; ++i) out[i] = least(most(out[i] >> shift, low), high);
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
  const bool shifts = (step & (step - 1)) == 0;
  const int by = shifts ? __builtin_ctzll(static_cast<unsigned long long>(step)) : 0;
  by_channel(x, images, c, y, [&](const std::int64_t* in, std::int64_t* out, std::size_t count, std::size_t first) {
    if (shifts)
      for (std::size_t i = 0; i < count; ++i) out[i] = (in[i] - low) >> by;
    else
      for (std::size_t i = 0; i < count; ++i) out[i] = (in[i] - low) / step;
    const std::int64_t* row = values + first * entries;
    const std::int64_t next = c.rows == 1 ? 0 : entries;
    for (std::size_t i = 0; i < count; ++i) out[i] = row[static_cast<std::int64_t>(i) * next + out[i]];
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
inline void pick(std::int64_t* best, const std::int64_t* values, std::size_t count, const std::uint8_t* minimum) {
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
  windows(images, g, [&](int image, const Place& place, std::size_t here) {
    chunks(g.unit, [&](std::size_t at, std::size_t count) {
      std::int64_t best[CHUNK], values[CHUNK];
      taps(g, place, [&](std::size_t from, int tap) {
        read(x, image * size + from + at, count, tap ? values : best);
        if (tap) pick(best, values, count, some ? minimum + at : nullptr);
      });
      write(y, here * g.unit + at, count, best);
    });
  });
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
    BNN2HW_NAME(BNN2HW_VERSION), xnor,     xnor_masked, dot,       mac,           depthwise,   pack,   pack_nonzero,
    spread,                      unpack,   convert,     coded,     threshold,     fire,        affine, quantize,
    table,                       lut,      interpolation, window,  pad,           pad_bits,    pool,   pool_bits,
    add,                         multiply, concat,      concat_bits, largest,
};
}  // namespace bnn2hw
