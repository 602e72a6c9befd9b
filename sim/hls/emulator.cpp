// A generated HLS design as a function of frames, computed in one thread, one frame after the
// other.
//
// "emulation.hpp" is generated for each design: run_frame.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>

#include "ap_axi_sdata.h"
#include "hls_stream.h"

namespace {

template <int D>
void send(const std::uint8_t* input, std::size_t frame, int beats, hls::stream<ap_axiu<D, 0, 0, 0> >& out) {
  const std::uint8_t* bytes = input + frame * beats * (D / 8);
  for (int b = 0; b < beats; ++b) {
    ap_axiu<D, 0, 0, 0> beat;
    for (int i = 0; i < D / 8; ++i) beat.data.range(8 * i + 7, 8 * i) = ap_uint<8>(*bytes++);
    out.write(beat);
  }
}

template <int D>
void receive(hls::stream<ap_axiu<D, 0, 0, 0> >& in, std::size_t frame, int beats, std::uint8_t* output) {
  std::uint8_t* bytes = output + frame * beats * (D / 8);
  for (int b = 0; b < beats; ++b) {
    const ap_axiu<D, 0, 0, 0> beat = in.read();
    for (int i = 0; i < D / 8; ++i)
      *bytes++ = static_cast<std::uint8_t>(ap_uint<8>(beat.data.range(8 * i + 7, 8 * i)).to_uint64());
  }
}

}  // namespace

#include "emulation.hpp"

// Computes `frames` frames. Each input and output is an array of beats, each as many bytes as its
// port has. Returns 0, or 1 with a message.
extern "C" int bnn2hw_emulate(const std::uint8_t* const* inputs, std::size_t frames, std::uint8_t* const* outputs,
                              char* message, std::size_t message_size) {
  try {
    for (std::size_t f = 0; f < frames; ++f) run_frame(inputs, f, outputs);
  } catch (const std::exception& error) {
    std::snprintf(message, message_size, "%s", error.what());
    return 1;
  }
  return 0;
}
