// Numbers of any element type: read and written as one type, some at a time.
#pragma once

#include "kernels.hpp"
#include "vectors.hpp"

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

// The element type of numbers of T.
template <class T>
struct TypeOf;
template <>
struct TypeOf<std::int16_t> {
  static constexpr Type type = Type::i16;
};
template <>
struct TypeOf<std::int32_t> {
  static constexpr Type type = Type::i32;
};
template <>
struct TypeOf<std::int64_t> {
  static constexpr Type type = Type::i64;
};
template <>
struct TypeOf<float> {
  static constexpr Type type = Type::f32;
};
template <>
struct TypeOf<double> {
  static constexpr Type type = Type::f64;
};

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

// True if 32 bits hold every number of an element type.
inline bool is_narrow(Type type) { return type != Type::i64 && type != Type::f32 && type != Type::f64; }

// Call f with a number of 32 bits if all of these types are narrow, and with one of 64 bits otherwise.
template <class F, class... Types>
inline void with_width(F&& f, Types... types) {
  if ((is_narrow(types) && ...)) return f(std::int32_t{});
  f(std::int64_t{});
}

// Some numbers as T: where they are, or a copy.
template <class T>
struct Reader {
  ConstNumbers x;
  T copy[CHUNK];

  explicit Reader(ConstNumbers from) : x(from) {}
  inline const T* get(std::size_t at, std::size_t count) {
    if (x.type == TypeOf<T>::type) return static_cast<const T*>(x.data) + at;
    read(x, at, count, copy);
    return copy;
  }
};

// Room for some numbers as T: where they go, or elsewhere until `put`.
template <class T>
struct Writer {
  Output y;
  T copy[CHUNK];

  explicit Writer(Output to) : y(to) {}
  inline bool there() const { return y.type == TypeOf<T>::type; }
  inline T* room(std::size_t at) { return there() ? static_cast<T*>(y.data) + at : copy; }
  inline void put(std::size_t at, std::size_t count) {
    if (!there()) write(y, at, count, copy);
  }
};

// Call f(values, count, index of the first) for the numbers in [begin, begin + count), a chunk at a time.
template <class F>
void chunks(std::size_t count, F&& f) {
  for (std::size_t at = 0; at < count; at += CHUNK) f(at, least(CHUNK, count - at));
}

inline int words_of(int channels) { return (channels + 31) / 32; }

}  // namespace
