// Runs the processes of a generated HLS design concurrently on bounded streams and records all
// streams.
//
// Usage: harness INPUT_DIR OUTPUT_DIR FRAMES STALLS SEED
//   INPUT_DIR   holds one file for each input, named by its number: beats, each as many bytes as the
//               port has
//   OUTPUT_DIR  gets one file for each stream, named by its number: the beats that moved
//   STALLS      per mille of the stream operations before which a process yields to another one
//
// Exit status: 0 all processes ended; 2 wrong usage, or a file is missing; 3 deadlock, which stderr
// describes; 4 TLAST or TKEEP is wrong on an output.
//
// "simulation.hpp" is generated for each design: add_processes.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ap_axi_sdata.h"
#include "hls_stream.h"

namespace {

[[noreturn]] void fail(const std::string& path) {
  std::perror(path.c_str());
  std::_Exit(2);  // not std::exit: a process may still run on a stack that it would destroy
}

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

typedef std::unique_ptr<std::FILE, int (*)(std::FILE*)> File;

File open(const std::string& path, const char* mode) {
  File file(std::fopen(path.c_str(), mode), &std::fclose);
  if (!file) fail(path);
  return file;
}

// The test bench that simulation.hpp fills: processes, inputs, outputs, and streams to record.
class Bench {
 public:
  Bench(const std::string& inputs, const std::string& directory, std::uint64_t frames)
      : inputs_(inputs), directory_(directory), frames_(frames) {}

  void process(const std::string& name, const std::function<void()>& frame) {
    const std::uint64_t frames = frames_;
    bnn2hw_sim::Scheduler::here().process(name, [=] {
      for (std::uint64_t f = 0; f < frames; ++f) frame();
    });
  }

  // Sends the beats of input `number`, `beats` per frame.
  template <int D, int N>
  void source(const std::string& name, int number, int beats, hls::stream<ap_axiu<D, 0, 0, 0>, N>& out) {
    files_.push_back(open(inputs_ + "/" + std::to_string(number), "rb"));
    std::FILE* file = files_.back().get();
    process(name, [=, &out] {
      std::uint8_t bytes[D / 8];
      for (int b = 0; b < beats; ++b) {
        if (std::fread(bytes, 1, sizeof bytes, file) != sizeof bytes) fail("the input file");
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
  void sink(const std::string& name, int beats, hls::stream<ap_axiu<D, 0, 0, 0>, N>& in) {
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
    files_.push_back(open(directory_ + "/" + std::to_string(number), "wb"));
    std::FILE* file = files_.back().get();
    hook = [file](const ap_uint<W>& beat) {
      std::uint8_t bytes[(W + 7) / 8];
      to_bytes(beat, bytes);
      std::fwrite(bytes, 1, sizeof bytes, file);
    };
  }

 private:
  std::string inputs_, directory_;
  std::uint64_t frames_;
  std::vector<File> files_;
  bool broken_ = false;
};

}  // namespace

#include "simulation.hpp"

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: %s INPUT_DIR OUTPUT_DIR FRAMES STALLS SEED\n", argv[0]);
    return 2;
  }
  Bench bench(argv[1], argv[2], std::strtoull(argv[3], nullptr, 10));
  bnn2hw_sim::Scheduler& scheduler = bnn2hw_sim::Scheduler::here();
  scheduler.set_stalls(static_cast<unsigned>(std::atoi(argv[4])), std::strtoull(argv[5], nullptr, 10));

  add_processes(bench);
  if (!scheduler.run()) return 3;
  return bench.broken() ? 4 : 0;
}
