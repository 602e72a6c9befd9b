// A generated HLS design as a function: frames in, classes or scores out. One thread, one frame after the other.
//
// Compiled with BNN2HW_TOP set to the top function and the design's header included before.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>

#include "ap_axi_sdata.h"
#include "hls_stream.h"

namespace {

template <int D>
void send(const std::uint8_t* bytes, int beats, hls::stream<ap_axiu<D, 0, 0, 0> >& out) {
  for (int b = 0; b < beats; ++b) {
    ap_axiu<D, 0, 0, 0> beat;
    for (int i = 0; i < D / 8; ++i) beat.data.range(8 * i + 7, 8 * i) = ap_uint<8>(*bytes++);
    out.write(beat);
  }
}

template <int D>
void receive(hls::stream<ap_axiu<D, 0, 0, 0> >& in, int beats, std::uint8_t* bytes) {
  for (int b = 0; b < beats; ++b) {
    const ap_axiu<D, 0, 0, 0> beat = in.read();
    for (int i = 0; i < D / 8; ++i)
      *bytes++ = static_cast<std::uint8_t>(ap_uint<8>(beat.data.range(8 * i + 7, 8 * i)).to_uint64());
  }
}

}  // namespace

// Beats of `frames` frames, back to back, each in as many bytes as its port has. Returns 0, or 1 with a message.
extern "C" int bnn2hw_emulate(const std::uint8_t* input, std::size_t frames, std::uint8_t* output, char* message,
                              std::size_t message_size) {
  static hls::stream<input_beat> s_axis("s_axis");
  static hls::stream<output_beat> m_axis("m_axis");
  const std::size_t in_bytes = input_beat().data.width / 8, out_bytes = output_beat().data.width / 8;
  try {
    for (std::size_t f = 0; f < frames; ++f) {
      send(input + f * INPUT_BEATS * in_bytes, INPUT_BEATS, s_axis);
      BNN2HW_TOP(s_axis, m_axis);
      receive(m_axis, OUTPUT_BEATS, output + f * OUTPUT_BEATS * out_bytes);
    }
  } catch (const std::exception& error) {
    std::snprintf(message, message_size, "%s", error.what());
    return 1;
  }
  return 0;
}
