// Drives a verilated design through its AXI4-Stream ports and records every stream of it.
//
// Usage: harness INPUT OUTPUT_DIR FRAMES CYCLES_WITHOUT_PROGRESS STALL_IN STALL_OUT SEED
//   INPUT       beats of the input stream, back to back, STREAMS[0].bytes each
//   OUTPUT_DIR  gets one file per stream, named by its number: its beats as they were handed over;
//               and run.json with the cycle counts
//   STALL_*     per mille of the cycles in which the source offers nothing, and the sink takes nothing
//
// Exit status: 0 all outputs came; 3 nothing moved for CYCLES_WITHOUT_PROGRESS cycles; 4 a stream broke the
// protocol (valid fell, or data changed, before ready); 2 usage or files.
//
// "design.h" is generated for each design: the type Top, top_streams(), INPUT_BYTES, OUTPUT_BEATS.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "verilated.h"

struct Stream {
  const char* name;
  const void* data;
  const CData* valid;
  const CData* ready;
  size_t bytes;
};

#include "design.h"

namespace {

class Random {  // xorshift64*, so that a seed gives the same stalls everywhere
 public:
  explicit Random(uint64_t seed) : state_(seed * 2685821657736338717ULL + 88172645463325252ULL) {}
  bool per_mille(unsigned chance) {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return (state_ * 2685821657736338717ULL >> 33) % 1000 < chance;
  }

 private:
  uint64_t state_;
};

class Recorder {
 public:
  Recorder(const Stream& stream, const std::string& path)
      : stream_(stream), file_(std::fopen(path.c_str(), "wb")), held_(stream.bytes) {
    if (!file_) {
      std::perror(path.c_str());
      std::exit(2);
    }
    std::setvbuf(file_, nullptr, _IOFBF, 1 << 16);
  }
  ~Recorder() { std::fclose(file_); }
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Looks at the stream just before a clock edge; true when a beat is handed over.
  bool sample() {
    const bool valid = *stream_.valid, ready = *stream_.ready;
    if (waiting_ && (!valid || std::memcmp(held_.data(), stream_.data, stream_.bytes) != 0)) broken_ = true;
    waiting_ = valid && !ready;
    if (waiting_) std::memcpy(held_.data(), stream_.data, stream_.bytes);
    if (!valid || !ready) return false;
    std::fwrite(stream_.data, 1, stream_.bytes, file_);
    ++beats_;
    return true;
  }
  uint64_t beats() const { return beats_; }
  bool broken() const { return broken_; }
  const char* name() const { return stream_.name; }

 private:
  Stream stream_;
  std::FILE* file_;
  std::vector<uint8_t> held_;
  uint64_t beats_ = 0;
  bool waiting_ = false;
  bool broken_ = false;
};

std::vector<uint8_t> read_file(const char* path) {
  std::FILE* file = std::fopen(path, "rb");
  if (!file) {
    std::perror(path);
    std::exit(2);
  }
  std::vector<uint8_t> bytes;
  uint8_t block[1 << 16];
  for (size_t n; (n = std::fread(block, 1, sizeof block, file)) > 0;) bytes.insert(bytes.end(), block, block + n);
  std::fclose(file);
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) {
    std::fprintf(stderr, "usage: %s INPUT OUTPUT_DIR FRAMES CYCLES_WITHOUT_PROGRESS STALL_IN STALL_OUT SEED\n", argv[0]);
    return 2;
  }
  const std::vector<uint8_t> input = read_file(argv[1]);
  const std::string directory = argv[2];
  const uint64_t frames = std::strtoull(argv[3], nullptr, 10);
  const uint64_t patience = std::strtoull(argv[4], nullptr, 10);
  const unsigned stall_in = std::atoi(argv[5]), stall_out = std::atoi(argv[6]);
  const uint64_t seed = std::strtoull(argv[7], nullptr, 10);

  const auto context = std::make_unique<VerilatedContext>();
  context->randReset(2);  // registers without a reset start with noise
  context->randSeed(static_cast<int>(seed % 0x7fffffff) + 1);
  const auto top = std::make_unique<Top>(context.get());
  Random source(seed), sink(seed + 1);

  std::vector<std::unique_ptr<Recorder>> recorders;
  for (const Stream& stream : top_streams(*top))
    recorders.push_back(std::make_unique<Recorder>(stream, directory + "/" + std::to_string(recorders.size())));
  Recorder& output = *recorders.back();

  top->aclk = 0;
  top->aresetn = 0;
  top->s_axis_tvalid = 0;
  top->s_axis_tlast = 0;
  top->m_axis_tready = 0;
  for (int edge = 0; edge < 16; ++edge) {
    top->aclk = edge & 1;
    top->eval();
  }
  top->aresetn = 1;

  const uint64_t beats_in = input.size() / INPUT_BYTES, beats_out = frames * OUTPUT_BEATS;
  const uint64_t beats_per_frame = frames ? beats_in / frames : 1;
  uint64_t next = 0, cycle = 0, quiet = 0, first_in = 0, first_out = 0, tail = 0;
  std::vector<uint64_t> frame_ends;
  bool offering = false, seen_in = false, seen_out = false, broken = false, tlast_wrong = false;

  // After the last expected output the clock runs on for a while, to catch beats that should not be there.
  while (tail < 64 && quiet < patience && !broken) {
    if (!offering && next < beats_in && !source.per_mille(stall_in)) {
      offering = true;
      std::memcpy(&top->s_axis_tdata, &input[next * INPUT_BYTES], INPUT_BYTES);
      top->s_axis_tlast = next % beats_per_frame == beats_per_frame - 1;
    }
    top->s_axis_tvalid = offering;
    top->m_axis_tready = !sink.per_mille(stall_out);
    top->aclk = 0;
    top->eval();

    const bool taken = offering && top->s_axis_tready;
    bool moved = false;
    for (const auto& recorder : recorders) {
      moved |= recorder->sample();
      broken |= recorder->broken();
    }
    if (taken && !seen_in) first_in = cycle, seen_in = true;
    if (top->m_axis_tvalid && !seen_out) first_out = cycle, seen_out = true;
    if (top->m_axis_tvalid && top->m_axis_tready) {
      const bool end = output.beats() % OUTPUT_BEATS == 0;
      tlast_wrong |= end != static_cast<bool>(top->m_axis_tlast);
      if (end) frame_ends.push_back(cycle);
    }

    top->aclk = 1;
    top->eval();
    if (taken) offering = false, ++next;
    quiet = moved ? 0 : quiet + 1;
    tail = output.beats() >= beats_out ? tail + 1 : 0;
    ++cycle;
  }
  const bool frame_error = top->frame_error;
  top->final();

  std::FILE* report = std::fopen((directory + "/run.json").c_str(), "w");
  if (!report) return 2;
  std::fprintf(report, "{\"cycles\": %llu, \"first_in\": %llu, \"first_out\": %llu, \"frame_error\": %s, ",
               static_cast<unsigned long long>(cycle), static_cast<unsigned long long>(first_in),
               static_cast<unsigned long long>(first_out), frame_error || tlast_wrong ? "true" : "false");
  std::fprintf(report, "\"broken\": [");
  const char* comma = "";
  for (size_t i = 0; i < recorders.size(); ++i)
    if (recorders[i]->broken()) std::fprintf(report, "%s%zu", comma, i), comma = ", ";
  std::fprintf(report, "], \"frame_ends\": [");
  for (size_t i = 0; i < frame_ends.size(); ++i)
    std::fprintf(report, "%s%llu", i ? ", " : "", static_cast<unsigned long long>(frame_ends[i]));
  std::fprintf(report, "]}\n");
  std::fclose(report);
  if (broken) return 4;
  return output.beats() >= beats_out ? 0 : 3;
}
