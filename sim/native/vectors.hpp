// Vectors of the width that a version of the kernels is compiled for, by the compiler's own vector types.
//
// Some operations have no operator: the population count of each byte, sums of products of bytes, and one bit per lane
// of a comparison. Where an instruction does them, they are one intrinsic; elsewhere they are written out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define BNN2HW_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define BNN2HW_VECTOR_BYTES 32
#else
#define BNN2HW_VECTOR_BYTES 16
#endif

namespace {

constexpr int VECTOR_BYTES = BNN2HW_VECTOR_BYTES;
constexpr int LANES = VECTOR_BYTES / 4;  // of 32 bits

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(BNN2HW_VECTOR_BYTES), aligned(1), may_alias));
};
template <class T>
using Vector = typename VectorOf<T>::type;

using Bytes = Vector<std::uint8_t>;
using Words = Vector<std::uint32_t>;
using Numbers = Vector<std::int32_t>;

template <class V, class T>
inline V load(const T* from) {
  V v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <class V, class T>
inline void store(T* to, V v) {
  std::memcpy(to, &v, sizeof v);
}

template <class V, class T>
inline V same(T value) {
  return value - V{};  // V{} + value would turn -0.0 into 0.0, which takes an addition
}

// A value of a matrix-vector unit in all lanes, and the form in which it is in memory.
template <class T>
struct Repeated {
  using Stored = T;
  inline static Vector<T> get(T value) { return same<Vector<T>>(value); }
};
template <>
struct Repeated<std::int16_t> {
  using Stored = std::uint32_t;  // twice
  inline static Vector<std::int16_t> get(std::uint32_t pair) {
    return reinterpret_cast<Vector<std::int16_t>>(same<Words>(pair));
  }
};

#define BNN2HW_NIBBLES 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4

// Four words, in each of which one byte of a word stands four times.
inline void repeat_bytes(std::uint32_t word, std::uint32_t* to) {
  typedef std::uint8_t Octets __attribute__((vector_size(16)));
  typedef std::uint32_t Quads __attribute__((vector_size(16)));
  const Octets v = reinterpret_cast<Octets>(Quads{} + word);
#if defined(__clang__)
  const Octets made = __builtin_shufflevector(v, v, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
#else
  const Octets made = __builtin_shuffle(v, Octets{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3});
#endif
  std::memcpy(to, &made, sizeof made);
}

// The number of ones in each byte.
inline Words byte_ones(Words v) {
#if defined(__AVX512BITALG__)
  return reinterpret_cast<Words>(_mm512_popcnt_epi8(reinterpret_cast<__m512i>(v)));
#elif defined(__AVX2__)
  // One instruction looks up all nibbles in a table that is repeated every 16 bytes.
  alignas(64) static const std::uint8_t TABLE[64] = {BNN2HW_NIBBLES, BNN2HW_NIBBLES, BNN2HW_NIBBLES, BNN2HW_NIBBLES};
  const Words table = load<Words>(TABLE), low = v & 0x0f0f0f0fu, high = (v >> 4) & 0x0f0f0f0fu;
#if defined(__AVX512BW__)
  using Native = __m512i;
  const auto look = [](Native t, Native n) { return reinterpret_cast<Words>(_mm512_shuffle_epi8(t, n)); };
#else
  using Native = __m256i;
  const auto look = [](Native t, Native n) { return reinterpret_cast<Words>(_mm256_shuffle_epi8(t, n)); };
#endif
  return look(reinterpret_cast<Native>(table), reinterpret_cast<Native>(low)) +
         look(reinterpret_cast<Native>(table), reinterpret_cast<Native>(high));
#else
  v = v - ((v >> 1) & 0x55555555u);
  v = (v & 0x33333333u) + ((v >> 2) & 0x33333333u);
  return (v + (v >> 4)) & 0x0f0f0f0fu;
#endif
}

// Add three bits at each place: return the carry, and leave the sum in the first.
inline Words add_bits(Words& low, Words a, Words b) {
#if defined(__AVX512F__)
  // The carry is taken from the sum and two of the bits, so that either instruction may overwrite an operand.
  const __m512i x = reinterpret_cast<__m512i>(a), y = reinterpret_cast<__m512i>(b);
  const __m512i sum = _mm512_ternarylogic_epi32(reinterpret_cast<__m512i>(low), x, y, 0x96);
  low = reinterpret_cast<Words>(sum);
  return reinterpret_cast<Words>(_mm512_ternarylogic_epi32(x, sum, y, 0xb2));
#else
  const Words u = low ^ a, high = (low & a) | (u & b);
  low = u ^ b;
  return high;
#endif
}

// Sums of bytes, the largest byte where they exceed it.
inline Words add_bytes(Words a, Words b) {
#if defined(__AVX512BW__)
  return reinterpret_cast<Words>(_mm512_adds_epu8(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<Words>(_mm256_adds_epu8(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__SSE2__)
  return reinterpret_cast<Words>(_mm_adds_epu8(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  const Bytes x = reinterpret_cast<Bytes>(a), sum = x + reinterpret_cast<Bytes>(b);
  return reinterpret_cast<Words>(sum) | reinterpret_cast<Words>(sum < x);
#endif
}

#if defined(__AVX512VNNI__)
// Sums of four products by lane: unsigned bytes of x times signed bytes of w.
struct Products {
  static constexpr bool LIMITED = false;
  __m512i sums = _mm512_setzero_si512();

  inline void add(Words x, Words w) {
    // g++ 12 copies the sums before and after the intrinsic, which takes as long as the products.
    asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(reinterpret_cast<__m512i>(x)), "v"(reinterpret_cast<__m512i>(w)));
  }
  inline void flush() {}
  inline Numbers total() const { return reinterpret_cast<Numbers>(sums); }
};
#else
// Sums of two products each: unsigned bytes of x times signed bytes of w, which must fit into 16 bits.
inline Vector<std::int16_t> pair_products(Words x, Words w) {
  using V = Vector<std::int16_t>;
#if defined(__AVX512BW__)
  return reinterpret_cast<V>(_mm512_maddubs_epi16(reinterpret_cast<__m512i>(x), reinterpret_cast<__m512i>(w)));
#elif defined(__AVX2__)
  return reinterpret_cast<V>(_mm256_maddubs_epi16(reinterpret_cast<__m256i>(x), reinterpret_cast<__m256i>(w)));
#else
  const V low = reinterpret_cast<V>(x & 0x00ff00ffu), high = reinterpret_cast<V>((x >> 8) & 0x00ff00ffu);
  return low * (reinterpret_cast<V>(w << 8) >> 8) + high * (reinterpret_cast<V>(w) >> 8);
#endif
}

// The sum of both halves of each lane.
inline Numbers pair_sums(Vector<std::int16_t> v) {
#if defined(__AVX512BW__)
  return reinterpret_cast<Numbers>(_mm512_madd_epi16(reinterpret_cast<__m512i>(v), _mm512_set1_epi16(1)));
#elif defined(__AVX2__)
  return reinterpret_cast<Numbers>(_mm256_madd_epi16(reinterpret_cast<__m256i>(v), _mm256_set1_epi16(1)));
#else
  return (reinterpret_cast<Numbers>(reinterpret_cast<Words>(v) << 16) >> 16) + (reinterpret_cast<Numbers>(v) >> 16);
#endif
}

// Sums of four products by lane. Pairs of them are added in 16 bits until `flush` adds these to the sums.
struct Products {
  static constexpr bool LIMITED = true;
  Vector<std::int16_t> pairs = Vector<std::int16_t>{};
  Numbers sums = Numbers{};

  inline void add(Words x, Words w) { pairs += pair_products(x, w); }
  inline void flush() {
    sums += pair_sums(pairs);
    pairs = Vector<std::int16_t>{};
  }
  inline Numbers total() const { return sums; }
};
#endif

// Sums of two products by lane: signed halves of x times those of w.
struct WordProducts {
  static constexpr bool LIMITED = false;
  Numbers sums = Numbers{};

  inline void add(Words x, Words w) {
#if defined(__AVX512VNNI__)
    asm("vpdpwssd %2, %1, %0" : "+v"(sums) : "v"(x), "v"(w));
#elif defined(__AVX512BW__)
    sums += reinterpret_cast<Numbers>(_mm512_madd_epi16(reinterpret_cast<__m512i>(x), reinterpret_cast<__m512i>(w)));
#elif defined(__AVX2__)
    sums += reinterpret_cast<Numbers>(_mm256_madd_epi16(reinterpret_cast<__m256i>(x), reinterpret_cast<__m256i>(w)));
#elif defined(__SSE2__)
    sums += reinterpret_cast<Numbers>(_mm_madd_epi16(reinterpret_cast<__m128i>(x), reinterpret_cast<__m128i>(w)));
#else
    const auto low = [](Words v) { return reinterpret_cast<Numbers>(v << 16) >> 16; };
    const auto high = [](Words v) { return reinterpret_cast<Numbers>(v) >> 16; };
    sums += low(x) * low(w) + high(x) * high(w);
#endif
  }
  inline void flush() {}
  inline Numbers total() const { return sums; }
};

// The integer of as many bits as T.
template <std::size_t>
struct IntegerOf;
template <>
struct IntegerOf<2> {
  using type = std::int16_t;
};
template <>
struct IntegerOf<4> {
  using type = std::int32_t;
};
template <>
struct IntegerOf<8> {
  using type = std::int64_t;
};

template <std::size_t>
struct UnsignedOf;
template <>
struct UnsignedOf<2> {
  using type = std::uint16_t;
};
template <>
struct UnsignedOf<4> {
  using type = std::uint32_t;
};

// Products of numbers that 32 bits hold.
inline Vector<std::int64_t> narrow_products(Vector<std::int64_t> a, Vector<std::int64_t> b) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vector<std::int64_t>>(
      _mm512_maskz_mul_epi32(0xff, reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<Vector<std::int64_t>>(_mm256_mul_epi32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#else
  return a * b;
#endif
}

// Numbers of 32 bits as numbers of 64.
inline Vector<std::int64_t> widened(const std::int32_t* from) {
  typedef std::int32_t Half __attribute__((vector_size(BNN2HW_VECTOR_BYTES / 2)));
  return __builtin_convertvector(load<Half>(from), Vector<std::int64_t>);
}

// The low halves of numbers of 64 bits.
inline void store_narrowed(std::int32_t* to, Vector<std::int64_t> v) {
  typedef std::int32_t Half __attribute__((vector_size(BNN2HW_VECTOR_BYTES / 2)));
  store(to, __builtin_convertvector(v, Half));
}

// All ones in the lanes where a >= b. Compilers differ in the type of a comparison.
template <class V>
inline auto reaches(V a, V b) {
  return reinterpret_cast<Vector<typename IntegerOf<sizeof(a[0])>::type>>(a >= b);
}

// Bit i is set where lane i of a comparison is true (all ones).
inline std::uint32_t bits_of(Vector<std::int32_t> truth) {
#if defined(__AVX512F__)
  return _mm512_movepi32_mask(reinterpret_cast<__m512i>(truth));
#elif defined(__AVX2__)
  return static_cast<std::uint32_t>(_mm256_movemask_ps(reinterpret_cast<__m256>(truth)));
#elif defined(__SSE2__)
  return static_cast<std::uint32_t>(_mm_movemask_ps(reinterpret_cast<__m128>(truth)));
#else
  std::uint32_t bits = 0;
  for (int i = 0; i < LANES; ++i) bits |= static_cast<std::uint32_t>(truth[i] & 1) << i;
  return bits;
#endif
}

inline std::uint32_t bits_of(Vector<std::int16_t> truth) {
#if defined(__AVX512BW__)
  return _mm512_movepi16_mask(reinterpret_cast<__m512i>(truth));
#elif defined(__AVX2__)
  const __m256i v = reinterpret_cast<__m256i>(truth);
  return static_cast<std::uint32_t>(
      _mm_movemask_epi8(_mm_packs_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1))));
#elif defined(__SSE2__)
  const __m128i v = reinterpret_cast<__m128i>(truth);
  return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(v, v))) & 0xffu;
#else
  std::uint32_t bits = 0;
  for (int i = 0; i < 2 * LANES; ++i) bits |= static_cast<std::uint32_t>(truth[i] & 1) << i;
  return bits;
#endif
}

// Set bit i % 32 of a word where byte i - n is all ones, for the bytes from n on, which begin a vector.
inline void set_bits(Words truth, int n, std::uint32_t* words) {
#if defined(__AVX512BW__)
  const std::uint64_t bits = _mm512_movepi8_mask(reinterpret_cast<__m512i>(truth));
  std::memcpy(words, &bits, sizeof bits);
  static_cast<void>(n);
#elif defined(__AVX2__)
  *words = static_cast<std::uint32_t>(_mm256_movemask_epi8(reinterpret_cast<__m256i>(truth)));
  static_cast<void>(n);
#elif defined(__SSE2__)
  *words |= static_cast<std::uint32_t>(_mm_movemask_epi8(reinterpret_cast<__m128i>(truth))) << (n % 32);
#else
  for (int i = 0; i < VECTOR_BYTES; ++i)
    *words |= static_cast<std::uint32_t>(reinterpret_cast<Bytes>(truth)[i] & 1) << (n + i) % 32;
#endif
}

// The same where byte i - n of a is at most that of b.
inline void set_at_most(Words a, Words b, int n, std::uint32_t* words) {
#if defined(__AVX512BW__)
  const std::uint64_t bits = _mm512_cmple_epu8_mask(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b));
  std::memcpy(words, &bits, sizeof bits);
  static_cast<void>(n);
#else
  set_bits(reinterpret_cast<Words>(reinterpret_cast<Bytes>(a) <= reinterpret_cast<Bytes>(b)), n, words);
#endif
}

#if defined(__AVX512BW__)
// Write the lanes of a and b in turns.
inline void store_in_turns(std::int16_t* to, Vector<std::uint16_t> a, Vector<std::uint16_t> b) {
  const __m512i x = reinterpret_cast<__m512i>(a), y = reinterpret_cast<__m512i>(b);
  const __m512i low = _mm512_unpacklo_epi16(x, y), high = _mm512_unpackhi_epi16(x, y);  // in each fourth
  const __m512i first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0), second = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
  _mm512_storeu_si512(to, _mm512_permutex2var_epi64(low, first, high));
  _mm512_storeu_si512(to + 32, _mm512_permutex2var_epi64(low, second, high));
}
#endif

// Bit i of a word is set where byte i of 32 is positive.
inline std::uint32_t positive_bits(const std::int8_t* from) {
#if defined(__AVX2__)
  const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpgt_epi8(v, _mm256_setzero_si256())));
#elif defined(__SSE2__)
  const auto half = [](const std::int8_t* at) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpgt_epi8(v, _mm_setzero_si128())));
  };
  return half(from) | half(from + 16) << 16;
#else
  std::uint32_t bits = 0;
  for (int i = 0; i < 32; ++i) bits |= static_cast<std::uint32_t>(from[i] > 0) << i;
  return bits;
#endif
}

inline std::uint32_t bits_of(Vector<std::int64_t> truth) {
#if defined(__AVX512DQ__)
  return _mm512_movepi64_mask(reinterpret_cast<__m512i>(truth));
#elif defined(__AVX2__)
  return static_cast<std::uint32_t>(_mm256_movemask_pd(reinterpret_cast<__m256d>(truth)));
#else
  std::uint32_t bits = 0;
  for (int i = 0; i < LANES / 2; ++i) bits |= static_cast<std::uint32_t>(truth[i] & 1) << i;
  return bits;
#endif
}

// Bit i is set where a >= b in lane i.
template <class V>
inline std::uint32_t reached(V a, V b) {
  return bits_of(reaches(a, b));
}

#if defined(__AVX512BW__)
inline std::uint32_t reached(Vector<std::int32_t> a, Vector<std::int32_t> b) {
  return _mm512_cmpge_epi32_mask(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b));
}

inline std::uint32_t reached(Vector<std::int64_t> a, Vector<std::int64_t> b) {
  return _mm512_cmpge_epi64_mask(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b));
}

inline std::uint32_t reached(Vector<std::int16_t> a, Vector<std::int16_t> b) {
  return _mm512_cmpge_epi16_mask(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b));
}
#endif

}  // namespace
