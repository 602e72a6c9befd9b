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

// The number of ones in each lane.
inline Words ones(Words v) {
#if defined(__AVX512VPOPCNTDQ__)
  return reinterpret_cast<Words>(_mm512_popcnt_epi32(reinterpret_cast<__m512i>(v)));
#else
  v = v - ((v >> 1) & 0x55555555u);
  v = (v & 0x33333333u) + ((v >> 2) & 0x33333333u);
  v = (v + (v >> 4)) & 0x0f0f0f0fu;
  v = v + (v >> 8);
  return (v + (v >> 16)) & 0x3fu;
#endif
}

// Bit i is set where lane i of a comparison is true (all ones).
inline std::uint32_t bits_of(Numbers truth) {
#if defined(__AVX512F__)
  return _mm512_cmpneq_epi32_mask(reinterpret_cast<__m512i>(truth), _mm512_setzero_si512());
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

}  // namespace
