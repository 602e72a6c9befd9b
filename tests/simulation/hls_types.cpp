// Prints what the integer types compute, a line per case: operation, width, operands, result, in decimal.
// tests/test_hls.py holds each line against Python's integers.
#include <cstdint>
#include <cstdio>

#include "ap_int.h"

namespace {

typedef unsigned long long Number;

void line(const char* operation, int width, Number a, Number b, Number c, long long result) {
  std::printf("%s %d %llu %llu %llu %lld\n", operation, width, a, b, c, result);
}

template <int W>
Number number(const ap_uint<W>& value) {
  return ap_uint<64>(value).to_uint64();
}

// Everything with one or two operands of W bits.
template <int W>
void pairs() {
  for (Number a = 0; a < Number(1) << W; ++a) {
    const ap_uint<W> x = a;
    const ap_int<W> s = x;
    line("not", W, a, 0, 0, number<W>(~x));
    line("signed", W, a, 0, 0, s);
    line("wrap", W, a + 5 * (Number(1) << W), 0, 0, number<W>(ap_uint<W>(a + 5 * (Number(1) << W))));
    line("widen", W, a, 0, 0, number<W + 3>(ap_uint<W + 3>(x)));
    line("extend", W, a, 0, 0, ap_int<W + 3>(s));
    line("unsigned_of_signed", W, a, 0, 0, number<W + 3>(ap_uint<W + 3>(s)));
    for (Number b = 0; b < Number(1) << W; ++b) {
      const ap_uint<W> y = b;
      const ap_int<W> t = y;
      ap_int<W> sum = s;
      sum += t;
      line("xor", W, a, b, 0, number<W>(x ^ y));
      line("and", W, a, b, 0, number<W>(x & y));
      line("equal", W, a, b, 0, x == y);
      line("unequal", W, a, b, 0, x != y);
      line("less", W, a, b, 0, s < t);
      line("add", W, a, b, 0, sum);
      line("multiply", W, a, b, 0, ap_int<2 * W>(s * t));
      line("plus", W, a, b, 0, number<W>(ap_uint<W>(x + y)));
    }
  }
}

// Every range of every value, read and written.
template <int W>
void ranges() {
  for (Number a = 0; a < Number(1) << W; ++a)
    for (int low = 0; low < W; ++low) {
      const ap_uint<W> x = a;
      ap_uint<W> cleared = x, set = x;
      cleared[low] = false;
      set[low] = true;
      line("bit", W, a, low, 0, x[low]);
      line("clear", W, a, low, 0, number<W>(cleared));
      line("set", W, a, low, 0, number<W>(set));
      for (int high = low; high < W; ++high) {
        line("range", W, a, low, high, number<W>(ap_uint<W>(x.range(high, low))));
        ap_uint<W> copied = 0, ones = x;
        copied.range(high, low) = x;
        ones.range(high, low) = ~ap_uint<W>(0);
        line("copy", W, a, low, high, number<W>(copied));
        line("fill", W, a, low, high, number<W>(ones));
      }
    }
}

// Ranges of an integer of several words, at every place: the value is a fixed pattern of bits.
template <int W>
void wide() {
  ap_uint<W> x = 0;
  for (int i = 0; i < W; ++i) x[i] = i % 3 == 0 || i % 7 == 2;
  const ap_uint<W> inverse = ~x, all = x ^ inverse;
  for (int low = 0; low < W; ++low) {
    const int high = low + 19 < W ? low + 19 : W - 1;
    line("wide_range", W, low, high, 0, number<20>(ap_uint<20>(x.range(high, low))));
    line("wide_not", W, low, high, 0, number<20>(ap_uint<20>(inverse.range(high, low))));
    line("wide_xor", W, low, high, 0, number<20>(ap_uint<20>(all.range(high, low))));
    line("wide_and", W, low, high, 0, number<20>(ap_uint<20>((x & all).range(high, low))));
    ap_uint<W> written = x;
    written.range(high, low) = ap_uint<20>(0x5a5a5);
    const ap_uint<W> moved = ap_uint<W>(x.range(W - 1, low));
    line("wide_equal", W, low, high, 0, written == x);
    for (int from = 0; from < W; from += 50) {
      const int to = from + 49 < W ? from + 49 : W - 1;
      line("wide_written", W, low, from, to, number<50>(ap_uint<50>(written.range(to, from))));
      line("wide_moved", W, low, from, to, number<50>(ap_uint<50>(moved.range(to, from))));
    }
  }
}

}  // namespace

int main() {
  pairs<1>();
  pairs<2>();
  pairs<3>();
  pairs<5>();
  ranges<1>();
  ranges<2>();
  ranges<5>();
  ranges<7>();
  wide<65>();
  wide<128>();
  wide<131>();
}
