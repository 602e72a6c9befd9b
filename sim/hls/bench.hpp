// The test bench of a generated HLS design: processes, inputs, outputs, and streams to record.
//
// harness.cpp defines what does not depend on the design. Here is what depends on the width of a beat, and no more:
// a design has many widths, and all that is here is compiled for each.
#ifndef BNN2HW_BENCH_HPP
#define BNN2HW_BENCH_HPP

#include <cstdint>
#include <cstdio>
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
  void process(const char* name, void (*frame)());

  // Sends the beats of input `number`, `beats` per frame.
  template <int D, int N>
  void source(const char* name, int number, int beats, hls::stream<ap_axiu<D, 0, 0, 0>, N>& out) {
    feed(name, number, D / 8, beats, &out, [](void* to, const std::uint8_t* bytes, bool last) {
      ap_axiu<D, 0, 0, 0> beat;
      beat.data = from_bytes<D>(bytes);
      beat.keep = ~ap_uint<D / 8>(0);
      beat.strb = ~ap_uint<D / 8>(0);
      beat.last = last;
      static_cast<hls::stream<ap_axiu<D, 0, 0, 0>, N>*>(to)->write(beat);
    });
  }

  // Takes the beats of an output and checks TLAST and TKEEP.
  template <int D, int N>
  void sink(const char* name, int beats, hls::stream<ap_axiu<D, 0, 0, 0>, N>& in) {
    drain(name, beats, &in, [](void* from, bool last) {
      const ap_axiu<D, 0, 0, 0> beat = static_cast<hls::stream<ap_axiu<D, 0, 0, 0>, N>*>(from)->read();
      const bool whole = beat.keep == ~ap_uint<D / 8>(0) && beat.strb == ~ap_uint<D / 8>(0);
      return whole && (beat.last != 0) == last;
    });
  }

  bool broken() const { return broken_; }

  template <int W>
  void record(hls::Recorder<ap_uint<W> >& recorder, int number) {
    recorder.file = output(number);
    recorder.call = [](const ap_uint<W>& beat, std::FILE* file) {
      std::uint8_t bytes[(W + 7) / 8];
      to_bytes(beat, bytes);
      std::fwrite(bytes, 1, sizeof bytes, file);
    };
  }

 private:
  typedef void (*Send)(void* to, const std::uint8_t* bytes, bool last);
  typedef bool (*Take)(void* from, bool last);  // returns whether the beat is as it should be
  void feed(const char* name, int number, int bytes, int beats, void* to, Send send);
  void drain(const char* name, int beats, void* from, Take take);

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
