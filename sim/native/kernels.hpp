// The kernels that a network is made of. They are compiled once for each instruction set; `kernels()` chooses the
// version for this processor.
//
// A batch of images goes through each kernel at once. An image is a number of places, each of which has channels. There
// are two layouts: `bits` holds values of two kinds, one bit per channel, each place in whole words of 32 bits whose
// spare bits are 0; `numbers` holds the values themselves in one of the element types below.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bnn2hw {

// `pairs` are int16 that stand twice in 32 bits, which vectors are filled with in one instruction.
enum class Type : std::int32_t { u8, i8, i16, pairs, i32, i64, f32, f64 };

// Numbers of one element type.
struct Numbers {
  void* data;
  Type type;
};

struct ConstNumbers {
  const void* data;
  Type type;
};

// Windows over an image. `unit` is the size of a place in the elements of the input.
struct Window {
  std::int32_t height, width, unit;
  std::int32_t kernel_height, kernel_width;
  std::int32_t stride_height, stride_width;
  std::int32_t dilation_height, dilation_width;
  std::int32_t top, left;  // rows and columns of true zeros before the image
  std::int32_t rows, columns;  // windows in an image
  // Where the inputs of a window are, counted from its first one; the same for all windows inside of the image. Null
  // if they follow each other in memory.
  const std::int32_t* offsets;
};

// Neurons over the vectors of windows. Sums are written to `sums` where that is not null. Where `fired` is not null,
// bit n of a place is set if sum n >= thresholds[n], inverted where `falls` says so.
struct Neurons {
  std::int32_t count;
  std::int32_t padded;  // neurons in a row of weights: a multiple of 64
  Numbers sums;
  std::uint32_t* fired;
  const void* thresholds;  // padded; in the element type of the sums
  const std::uint32_t* falls;  // (count + 31) / 32 words
};

// Values by channel: `channels` constants in a row, or one for all.
struct Channels {
  std::size_t places;  // of one image
  std::int32_t channels;
  std::int32_t rows;  // channels, or 1
};

struct Kernels {
  const char* name;

  // Sums of signs times signs. x are `spread` bits, so `unit` is four times the words of a place, and `synapses` are its
  // channels. weights[padded / 64][window bytes][64] have eight synapses of a neuron in each byte. Sums and thresholds have
  // 4 or 2 `bytes`; threshold n is in part n % bytes of as many parts. With 1 byte there are no sums and no border:
  // thresholds[0][n] is a limit of disagreements by eights, and thresholds[1][n] what is added to these before.
  void (*xnor)(const std::uint32_t* x, int images, const Window&, int synapses, int bytes, const std::uint8_t* weights,
               const Neurons&);
  // The same where some inputs are 0: bit masks of those that are not.
  void (*xnor_masked)(const std::uint32_t* x, const std::uint32_t* mask, int images, const Window&, int bytes,
                      const std::uint8_t* weights, const Neurons&);
  // Sums of bytes times signed bytes, i32: weights[length][padded][4] for the four bytes at each offset of the window.
  // Up to `chunk` sums of two products stay within i16. There is no border.
  void (*dot)(ConstNumbers x, int images, const Window&, int length, int chunk, const std::uint8_t* weights,
              const Neurons&);
  // Sums of words of 16 bits times wider weights, i32: weights[length][padded / 16][2][16][2] for the two words at each
  // offset of the window. The second part of a weight is shifted. There is no border.
  void (*dot_words)(ConstNumbers x, int images, const Window&, int length, int shift, const std::uint8_t* weights,
                    const Neurons&);
  // Sums of numbers times numbers, in the element type of x and of the weights[blocks][window channels][128 bytes]:
  // i16 (with x in pairs), f32, f64 or i64, whichever holds every partial sum exactly. With x and
  // weights[blocks][window channels][64 bytes] in i32, sums are i64.
  void (*mac)(ConstNumbers x, int images, const Window&, const void* weights, const Neurons&);
  // y[c] = sum over the positions p of a place of weights[p][c] * x[p][c]. With `narrow`, 32 bits hold each factor.
  void (*depthwise)(ConstNumbers x, int images, std::size_t places, int positions, int channels,
                    const std::int64_t* weights, bool narrow, Numbers y);

  // Layouts.
  void (*pack)(ConstNumbers x, std::size_t places, int channels, std::uint32_t* bits);  // set where x > 0
  void (*pack_nonzero)(ConstNumbers x, std::size_t places, int channels, std::uint32_t* bits);
  void (*spread)(const std::uint32_t* bits, std::size_t words, std::uint32_t* y);  // each byte of a word four times
  void (*unpack)(const std::uint32_t* bits, std::size_t places, int channels, std::int64_t low, std::int64_t high,
                 Numbers y);
  void (*convert)(ConstNumbers x, std::size_t count, Numbers y);
  void (*coded)(ConstNumbers x, std::size_t count, std::int64_t low, std::int64_t step, Numbers y);

  // Values by channel.
  void (*threshold)(ConstNumbers x, int images, const Channels&, int levels, const std::int64_t* thresholds,
                    const std::uint8_t* falls, std::int64_t low, std::int64_t step, Numbers y);
  // thresholds[row], i32 or i64; x is not wider than they are.
  void (*fire)(ConstNumbers x, int images, const Channels&, ConstNumbers thresholds, const std::uint32_t* falls,
               std::uint32_t* bits);
  // slopes[segment][row], biases[segment][row], cuts[segment - 1][row]. With `narrow`, 32 bits hold each slope and what is
  // multiplied with it.
  void (*affine)(ConstNumbers x, int images, const Channels&, int segments, const std::int64_t* slopes,
                 const std::int64_t* biases, const std::int64_t* cuts, int drop, int shift, bool narrow,
                 std::int64_t low, std::int64_t high, Numbers y);
  void (*quantize)(ConstNumbers x, int images, const Channels&, const std::int64_t* add, const std::int64_t* mask,
                   const std::int64_t* low, const std::int64_t* high, const std::int64_t* tie, bool wraps, int shift,
                   Numbers y);
  // values[row][entry], i32 or i64; x and its differences are not wider than they are.
  void (*table)(ConstNumbers x, int images, const Channels&, std::int64_t low, std::int64_t step, int entries,
                ConstNumbers values, Numbers y);
  // y[n] = tables[n][address], or bit n of `fired` where that is not null. The address has the codes of `most` inputs,
  // `width` bits each; input i is bit i of a place in `bits`, or where that is null, value i of a place in x.
  void (*lut)(const std::uint32_t* bits, ConstNumbers x, std::size_t places, int values, std::int64_t low,
              std::int64_t step, int width, int outputs, int most, const std::int32_t* wires,
              const std::int64_t* tables, std::uint32_t* fired, Numbers y);
  void (*interpolation)(ConstNumbers x, std::size_t count, int within, std::int64_t first, int fine,
                        const std::int64_t* bases, const std::int64_t* slopes, Numbers y);

  // Images.
  void (*window)(ConstNumbers x, int images, const Window&, Numbers y);
  void (*pad)(ConstNumbers x, int images, int height, int width, int channels, int top, int left, int rows, int columns,
              int gap_rows, int gap_columns, const std::int64_t* value, Numbers y);
  void (*pad_bits)(const std::uint32_t* x, int images, int height, int width, int words, int top, int left, int rows,
                   int columns, int gap_rows, int gap_columns, const std::uint32_t* value, std::uint32_t* y);
  // Windows without a border.
  void (*pool)(ConstNumbers x, int images, const Window&, const std::uint8_t* minimum, Numbers y);
  void (*pool_bits)(const std::uint32_t* x, int images, int height, int width, int words, int rows, int columns,
                    const std::uint32_t* minimum, std::uint32_t* y);

  // Several inputs.
  void (*add)(ConstNumbers a, ConstNumbers b, std::size_t places, int channels, int first, Numbers y);
  void (*multiply)(ConstNumbers a, ConstNumbers b, int images, std::size_t places, int channels, bool per_image,
                   Numbers y);
  void (*concat)(ConstNumbers a, int a_channels, ConstNumbers b, int b_channels, std::size_t places, Numbers y);
  void (*concat_bits)(const std::uint32_t* a, int a_words, const std::uint32_t* b, int b_words, std::size_t places,
                      std::uint32_t* y);

  // Indices of the largest values of each place, equal ones in their order.
  void (*largest)(ConstNumbers x, std::size_t places, int values, int k, Numbers y);
};

// True if this processor has the instructions of a version.
bool runs(const char* version);

// The version for this processor, or the one of that name. Null if the processor lacks its instructions.
const Kernels* kernels(const char* name = nullptr);

}  // namespace bnn2hw
