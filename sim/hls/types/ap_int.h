// Integers of any width, for C simulation without the vendor's headers.
//
// They cover only what the generated sources use: ap_int up to 64 bits; ap_uint of any width;
// `range` and single bits, to read and to write; ~, ^, &, == and !=; and, up to 64 bits, the
// built-in integer operators through a conversion. Values wrap at their width, as in the vendor's
// header.
#ifndef BNN2HW_AP_INT_H
#define BNN2HW_AP_INT_H

#include <cstdint>
#include <type_traits>

template <int W>
class ap_uint;
template <int W>
class ap_int;

namespace bnn2hw_sim {

// The value of an integer that was not initialized. It is not zero, so that reading it shows.
constexpr std::uint64_t NOISE = 0xa5c396b4d27801efULL;

constexpr std::uint64_t mask(int bits) { return bits >= 64 ? ~std::uint64_t(0) : (std::uint64_t(1) << bits) - 1; }

// The bits [hi:lo] of an ap_uint, to read or to assign.
template <typename Word>
class Range {
 public:
  Range(Word& word, int hi, int lo) : word_(word), hi_(hi), lo_(lo) {}
  Range(const Range&) = default;

  int length() const { return hi_ - lo_ + 1; }

  // Returns bits [64 * chunk + 63 : 64 * chunk] of the range, with zeros above its end.
  std::uint64_t chunk(int index) const {
    const int left = length() - 64 * index;
    return left <= 0 ? 0 : word_.bits_at(lo_ + 64 * index) & mask(left);
  }

  template <int V>
  Range& operator=(const ap_uint<V>& value) {
    for (int done = 0; done < length(); done += 64) {
      const int left = length() - done;
      word_.set_bits_at(lo_ + done, left < 64 ? left : 64, value.bits_at(done));
    }
    return *this;
  }
  Range& operator=(const Range& other) = delete;

 private:
  Word& word_;
  int hi_, lo_;
};

// One bit of an ap_uint, to read or to assign.
template <typename Word>
class Bit {
 public:
  Bit(Word& word, int at) : word_(word), at_(at) {}
  Bit(const Bit&) = default;
  operator bool() const { return word_.bits_at(at_) & 1; }
  Bit& operator=(bool value) {
    word_.set_bits_at(at_, 1, value);
    return *this;
  }
  Bit& operator=(const Bit& other) = delete;

 private:
  Word& word_;
  int at_;
};

// Storage of up to 64 bits: one word.
template <int W, bool WIDE>
class Bits {
 public:
  constexpr Bits() : value_(NOISE & mask(W)) {}
  constexpr explicit Bits(std::uint64_t value) : value_(value & mask(W)) {}

  // Returns 64 bits from `at` on, with zeros above the end.
  std::uint64_t bits_at(int at) const { return at >= 64 ? 0 : value_ >> at; }
  void set_bits_at(int at, int count, std::uint64_t bits) {
    value_ = ((value_ & ~(mask(count) << at)) | ((bits & mask(count)) << at)) & mask(W);
  }
  constexpr operator unsigned long long() const { return value_; }

 private:
  std::uint64_t value_;
};

// Storage of more than 64 bits: several words, the lowest first.
template <int W>
class Bits<W, true> {
 public:
  Bits() {
    for (int i = 0; i < WORDS; ++i) words_[i] = NOISE;
    trim();
  }
  explicit Bits(std::uint64_t value) : words_() { words_[0] = value; }

  std::uint64_t bits_at(int at) const {
    const int word = at / 64, shift = at % 64;
    if (word >= WORDS) return 0;
    const std::uint64_t low = words_[word] >> shift;
    return shift && word + 1 < WORDS ? low | words_[word + 1] << (64 - shift) : low;
  }
  void set_bits_at(int at, int count, std::uint64_t bits) {
    const int word = at / 64, shift = at % 64;
    bits &= mask(count);
    words_[word] = (words_[word] & ~(mask(count) << shift)) | bits << shift;
    if (shift + count > 64) {
      const int there = 64 - shift;
      words_[word + 1] = (words_[word + 1] & ~mask(count - there)) | bits >> there;
    }
    trim();
  }

 private:
  static constexpr int WORDS = (W + 63) / 64;
  void trim() { words_[WORDS - 1] &= mask(W - 64 * (WORDS - 1)); }
  std::uint64_t words_[WORDS];
};

}  // namespace bnn2hw_sim

// Unsigned integer of W bits.
template <int W>
class ap_uint : public bnn2hw_sim::Bits<W, (W > 64)> {
  static_assert(W > 0, "an integer has at least one bit");
  typedef bnn2hw_sim::Bits<W, (W > 64)> Base;

 public:
  static const int width = W;

  constexpr ap_uint() : Base() {}
  constexpr ap_uint(unsigned long long value) : Base(std::uint64_t(value)) {}
  template <int V>
  ap_uint(const ap_uint<V>& other) : Base(other.bits_at(0)) {
    for (int at = 64; at < W; at += 64) this->set_bits_at(at, W - at < 64 ? W - at : 64, other.bits_at(at));
  }
  template <int V>
  ap_uint(const ap_int<V>& other) : Base(std::uint64_t(static_cast<long long>(other))) {
    for (int at = 64; at < W; at += 64)
      this->set_bits_at(at, W - at < 64 ? W - at : 64, static_cast<long long>(other) < 0 ? ~std::uint64_t(0) : 0);
  }
  template <typename Word>
  ap_uint(const bnn2hw_sim::Range<Word>& range) : Base(range.chunk(0)) {
    for (int at = 64; at < W; at += 64) this->set_bits_at(at, W - at < 64 ? W - at : 64, range.chunk(at / 64));
  }

  bnn2hw_sim::Range<ap_uint> range(int hi, int lo) { return bnn2hw_sim::Range<ap_uint>(*this, hi, lo); }
  bnn2hw_sim::Range<const ap_uint> range(int hi, int lo) const {
    return bnn2hw_sim::Range<const ap_uint>(*this, hi, lo);
  }
  bnn2hw_sim::Bit<ap_uint> operator[](int at) { return bnn2hw_sim::Bit<ap_uint>(*this, at); }
  bool operator[](int at) const { return this->bits_at(at) & 1; }

  ap_uint operator~() const {
    ap_uint inverse;
    for (int at = 0; at < W; at += 64) inverse.set_bits_at(at, W - at < 64 ? W - at : 64, ~this->bits_at(at));
    return inverse;
  }
  std::uint64_t to_uint64() const { return this->bits_at(0); }
};

template <int W>
ap_uint<W> operator^(const ap_uint<W>& a, const ap_uint<W>& b) {
  ap_uint<W> result;
  for (int at = 0; at < W; at += 64) result.set_bits_at(at, W - at < 64 ? W - at : 64, a.bits_at(at) ^ b.bits_at(at));
  return result;
}

template <int W>
ap_uint<W> operator&(const ap_uint<W>& a, const ap_uint<W>& b) {
  ap_uint<W> result;
  for (int at = 0; at < W; at += 64) result.set_bits_at(at, W - at < 64 ? W - at : 64, a.bits_at(at) & b.bits_at(at));
  return result;
}

template <int W>
bool operator==(const ap_uint<W>& a, const ap_uint<W>& b) {
  for (int at = 0; at < W; at += 64)
    if (a.bits_at(at) != b.bits_at(at)) return false;
  return true;
}

template <int W>
bool operator!=(const ap_uint<W>& a, const ap_uint<W>& b) {
  return !(a == b);
}

// Two's complement integer of W bits.
template <int W>
class ap_int {
  static_assert(W > 0 && W <= 64, "this header has signed integers of 1 to 64 bits");

 public:
  static const int width = W;

  constexpr ap_int() : value_(extend(bnn2hw_sim::NOISE)) {}
  constexpr ap_int(long long value) : value_(extend(std::uint64_t(value))) {}
  template <int V>
  constexpr ap_int(const ap_int<V>& other) : value_(extend(std::uint64_t(static_cast<long long>(other)))) {}
  template <int V>
  ap_int(const ap_uint<V>& other) : value_(extend(other.bits_at(0))) {}
  template <typename Word>
  ap_int(const bnn2hw_sim::Range<Word>& range) : value_(extend(range.chunk(0))) {}

  constexpr operator long long() const { return value_; }
  ap_int& operator+=(long long other) {
    value_ = extend(std::uint64_t(value_) + std::uint64_t(other));
    return *this;
  }

 private:
  // Shifts are computed on unsigned values, where they are defined for all operands.
  static constexpr std::int64_t extend(std::uint64_t bits) {
    return static_cast<std::int64_t>(bits << (64 - W)) >> (64 - W);
  }
  std::int64_t value_;
};

#endif
