// Vectors of the width that a version of the kernels is compiled for, by the compiler's own vector types.
//
// Two operations have no operator: the population count of each lane, and one bit per lane of a comparison. Where an
// instruction does them, they are one intrinsic; elsewhere they are written out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX512VPOPCNTDQ__) || defined(__SSE2__)
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
  return V{} + value;
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

// The number of ones in each byte.
inline Words byte_ones(Words v) {
#if defined(__AVX2__)
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

// The sum of the four bytes of each lane, times a factor of at most 4.
template <int FACTOR = 1>
inline Words byte_sums(Words v) {
#if defined(__AVX512BW__)
  const __m512i pairs = _mm512_maddubs_epi16(reinterpret_cast<__m512i>(v), _mm512_set1_epi8(FACTOR));
  return reinterpret_cast<Words>(_mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
#elif defined(__AVX2__)
  const __m256i pairs = _mm256_maddubs_epi16(reinterpret_cast<__m256i>(v), _mm256_set1_epi8(FACTOR));
  return reinterpret_cast<Words>(_mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
#else
  v = (v & 0x00ff00ffu) + ((v >> 8) & 0x00ff00ffu);
  return ((v + (v >> 16)) & 0xffffu) * static_cast<std::uint32_t>(FACTOR);
#endif
}

// Add three bits at each place: return the carry, and leave the sum in the first.
inline Words add_bits(Words& low, Words a, Words b) {
#if defined(__AVX512F__)
  const __m512i x = reinterpret_cast<__m512i>(low), y = reinterpret_cast<__m512i>(a), z = reinterpret_cast<__m512i>(b);
  low = reinterpret_cast<Words>(_mm512_ternarylogic_epi32(x, y, z, 0x96));
  return reinterpret_cast<Words>(_mm512_ternarylogic_epi32(x, y, z, 0xe8));
#else
  const Words u = low ^ a, high = (low & a) | (u & b);
  low = u ^ b;
  return high;
#endif
}

// The number of ones in each lane.
inline Words ones(Words v) {
#if defined(__AVX512VPOPCNTDQ__)
  return reinterpret_cast<Words>(_mm512_popcnt_epi32(reinterpret_cast<__m512i>(v)));
#else
  return byte_sums(byte_ones(v));
#endif
}

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

inline std::uint32_t bits_of(Vector<std::int64_t> truth) {
  std::uint32_t bits = 0;
  for (int i = 0; i < LANES / 2; ++i) bits |= static_cast<std::uint32_t>(truth[i] & 1) << i;
  return bits;
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

inline std::uint32_t reached(Vector<std::int16_t> a, Vector<std::int16_t> b) {
  return _mm512_cmpge_epi16_mask(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b));
}
#endif

}  // namespace
