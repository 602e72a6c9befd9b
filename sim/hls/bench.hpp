// The test bench of a generated HLS design: processes, inputs, outputs, and streams to record.
//
// harness.cpp defines what does not depend on the design.
#ifndef BNN2HW_BENCH_HPP
#define BNN2HW_BENCH_HPP

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ap_axi_sdata.h"
#include "hls_stream.h"

// Returns the lowest `bytes` bytes of an integer.
template <int W>
void to_bytes(const ap_uint<W>& value, std::uint8_t* bytes) {
  for (int i = 0; 8 * i < W; ++i) {
    const int high = 8 * i + 7 < W ? 8 * i + 7 : W - 1;
    bytes[i] = static_cast<std::uint8_t>(ap_uint<8>(value.range(high, 8 * i)).to_uint64());
  }
}

template <int W>
ap_uint<W> from_bytes(const std::uint8_t* bytes) {
  ap_uint<W> value = 0;
  for (int i = 0; 8 * i < W; ++i) value.range(8 * i + 7, 8 * i) = ap_uint<8>(bytes[i]);
  return value;
}

class Bench {
 public:
  Bench(const std::string& inputs, const std::string& directory, std::uint64_t frames);
  ~Bench();

  // Runs `frame` once for each frame.
  void process(const char* name, const std::function<void()>& frame);

  // Sends the beats of input `number`, `beats` per frame.
  template <int D, int N>
  void source(const char* name, int number, int beats, hls::stream<ap_axiu<D, 0, 0, 0>, N>& out) {
    std::FILE* file = input(number);
    process(name, [=, &out] {
      std::uint8_t bytes[D / 8];
      for (int b = 0; b < beats; ++b) {
        read(file, bytes, sizeof bytes);
        ap_axiu<D, 0, 0, 0> beat;
        beat.data = from_bytes<D>(bytes);
        beat.keep = ~ap_uint<D / 8>(0);
        beat.strb = ~ap_uint<D / 8>(0);
        beat.last = b == beats - 1;
        out.write(beat);
      }
    });
  }

  // Takes the beats of an output and checks TLAST and TKEEP.
  template <int D, int N>
  void sink(const char* name, int beats, hls::stream<ap_axiu<D, 0, 0, 0>, N>& in) {
    process(name, [=, &in] {
      for (int b = 0; b < beats; ++b) {
        const ap_axiu<D, 0, 0, 0> beat = in.read();
        const bool whole = beat.keep == ~ap_uint<D / 8>(0) && beat.strb == ~ap_uint<D / 8>(0);
        broken_ |= !whole || (beat.last != 0) != (b == beats - 1);
      }
    });
  }

  bool broken() const { return broken_; }

  template <int W>
  void record(std::function<void(const ap_uint<W>&)>& hook, int number) {
    std::FILE* file = output(number);
    hook = [file](const ap_uint<W>& beat) {
      std::uint8_t bytes[(W + 7) / 8];
      to_bytes(beat, bytes);
      std::fwrite(bytes, 1, sizeof bytes, file);
    };
  }

 private:
  std::FILE* input(int number);
  std::FILE* output(int number);
  std::FILE* open(const std::string& path, const char* mode);
  static void read(std::FILE* file, std::uint8_t* bytes, std::size_t count);

  std::string inputs_, directory_;
  std::uint64_t frames_;
  std::vector<std::unique_ptr<std::FILE, int (*)(std::FILE*)>> files_;
  bool broken_ = false;
};

// Fills a bench with a design; simulation.hpp is generated and defines it.
void add_processes(Bench& bench);

#endif
