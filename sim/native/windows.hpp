// Windows over images, and what becomes of the sums of 32 neurons.
#pragma once

#include "kernels.hpp"
#include "numbers.hpp"
#include "vectors.hpp"

namespace {

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

inline std::size_t image_size(const Window& g) { return static_cast<std::size_t>(g.height) * g.width * g.unit; }

// Call many(inputs, places) for P windows inside their images at a time, one(inputs, place) for those that are left, and
// border(image, place, index) for the others.
template <int P, class X, class Many, class One, class Border>
inline void tiles(const X* x, int images, const Window& g, Many&& many, One&& one, Border&& border) {
  const std::size_t size = image_size(g);
  const X* from[P];
  std::size_t at[P];
  int waiting = 0;
  windows(images, g, [&](int image, const Place& place, std::size_t here) {
    if (!place.inside) return border(x + image * size, place, here);
    from[waiting] = x + image * size + first_input(g, place);
    at[waiting++] = here;
    if (waiting < P) return;
    many(from, at);
    waiting = 0;
  });
  for (int p = 0; p < waiting; ++p) {
    const X* single[1] = {from[p]};
    const std::size_t here[1] = {at[p]};
    one(single, here);
  }
}

// Write some sums as they are, or as other numbers.
template <class T>
__attribute__((noinline)) void give(Output y, std::size_t at, int count, Vector<T> sums) {
  constexpr int WIDTH = VECTOR_BYTES / static_cast<int>(sizeof(T));
  if (y.type == TypeOf<T>::type && count >= WIDTH) return store(static_cast<T*>(y.data) + at, sums);
  T values[WIDTH];
  store(values, sums);
  if (count > 0) write(y, at, least(WIDTH, count), values);
}

// The bits of a word that are neurons, the first of which is `first`.
inline std::uint32_t used_bits(const Neurons& to, int first) {
  return to.count - first < 32 ? (1u << (to.count - first)) - 1 : ~0u;
}

// Takes the sums of 32 neurons at P places, some at a time, and gives them out; without SUMS, only their bits leave.
template <class T, int P, bool SUMS = true>
struct Results {
  std::uint32_t word[P] = {};

  inline void take(const Neurons& to, std::size_t here, int p, int first, int n, Vector<T> sums) {
    if (!SUMS || to.fired)
      word[p] |= reached(sums, load<Vector<T>>(static_cast<const T*>(to.thresholds) + first + n)) << n;
    if (SUMS && to.sums.data) give<T>(to.sums, here * to.count + first + n, to.count - first - n, sums);
  }

  inline void end(const Neurons& to, const std::size_t* at, int first) {
    if (SUMS && !to.fired) return;
    const std::uint32_t used = used_bits(to, first), falls = to.falls[first / 32];
    const int words = words_of(to.count);
#pragma GCC unroll 8
    for (int p = 0; p < P; ++p) to.fired[at[p] * words + first / 32] = (word[p] ^ falls) & used;
  }
};

}  // namespace
