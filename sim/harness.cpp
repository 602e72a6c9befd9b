// Drives a verilated design through its AXI4-Stream ports and records all of its streams.
//
// Usage: harness INPUT_DIR OUTPUT_DIR FRAMES PATIENCE STALL_IN STALL_OUT SEED [FRAME IMAGE]...
//   INPUT_DIR   holds one file for each input, named by its number: beats of Source::bytes bytes
//   OUTPUT_DIR  gets one file for each stream, named by its number: the beats that moved; and
//               run.json with cycle counts, processor seconds of the run, and the design's share
//   PATIENCE    cycles without a moving beat after which the run fails
//   STALL_*     per mille of the cycles in which a source offers nothing, or a sink takes nothing
//   FRAME IMAGE sends the weight image in the file IMAGE after FRAME frames have entered, while
//               these are still in the design; the next frame is offered two cycles later
//
// Exit status: 0 all outputs came; 2 wrong usage, or a file is missing; 3 nothing moved for
// PATIENCE cycles; 4 a stream broke the protocol (valid fell, or data changed, before ready).
//
// This program is compiled once per machine, and is linked with each design (see harness.hpp).

#include "harness.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

Design::Design() = default;
Design::~Design() = default;
void Design::stream(const Stream& stream) { streams.push_back(stream); }
void Design::source(const Source& port) { sources.push_back(port); }
void Design::load(const Source& port) { loads.push_back(port); }
void Design::sink(const Sink& port) { sinks.push_back(port); }

namespace {

class Random {  // xorshift64*: a seed gives the same stalls on every system
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
    recorded_.reserve(kBlock + stream.bytes);
  }
  ~Recorder() {
    std::fwrite(recorded_.data(), 1, recorded_.size(), file_);
    std::fclose(file_);
  }
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Samples the stream just before a clock edge; returns true if a beat moves.
  bool sample() {
    const bool valid = *stream_.valid, ready = *stream_.ready;
    if (waiting_ && (!valid || std::memcmp(held_.data(), stream_.data, stream_.bytes) != 0)) broken_ = true;
    waiting_ = valid && !ready;
    if (waiting_) std::memcpy(held_.data(), stream_.data, stream_.bytes);
    if (!valid || !ready) return false;
    const uint8_t* data = static_cast<const uint8_t*>(stream_.data);
    recorded_.insert(recorded_.end(), data, data + stream_.bytes);
    if (recorded_.size() >= kBlock) {
      std::fwrite(recorded_.data(), 1, recorded_.size(), file_);
      recorded_.clear();
    }
    ++beats_;
    return true;
  }
  bool whole(uint64_t frames) const { return beats_ >= frames * stream_.beats; }
  bool broken() const { return broken_; }
  const char* name() const { return stream_.name; }

 private:
  static constexpr size_t kBlock = 1 << 16;
  Stream stream_;
  std::FILE* file_;
  std::vector<uint8_t> held_, recorded_;
  uint64_t beats_ = 0;
  bool waiting_ = false;
  bool broken_ = false;
};

std::vector<uint8_t> read_file(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) {
    std::perror(path.c_str());
    std::exit(2);
  }
  std::vector<uint8_t> bytes;
  uint8_t block[1 << 16];
  for (size_t n; (n = std::fread(block, 1, sizeof block, file)) > 0;) bytes.insert(bytes.end(), block, block + n);
  std::fclose(file);
  return bytes;
}

// Offers the beats of an input. Each stays until the design takes it.
class Feeder {
 public:
  Feeder(const Source& port, const std::string& path, uint64_t seed)
      : port_(port), bytes_(read_file(path)), random_(seed) {
    *port_.valid = 0;
    *port_.last = 0;
  }

  // Offers no beat of frame `frames` or later, unless that beat is offered already.
  void offer(unsigned stalls, uint64_t frames) {
    if (!offering_ && next_ / port_.beats < frames && next_ * port_.bytes < bytes_.size() &&
        !random_.per_mille(stalls)) {
      offering_ = true;
      std::memcpy(port_.data, &bytes_[next_ * port_.bytes], port_.bytes);
      *port_.last = next_ % port_.beats == port_.beats - 1;
    }
    *port_.valid = offering_;
  }
  // To be called just before a clock edge.
  bool taken() const { return offering_ && *port_.ready; }
  void edge(bool taken, uint64_t cycle) {
    if (!taken) return;
    if (next_ == 0) first_ = cycle;
    offering_ = false, ++next_;
  }
  uint64_t first() const { return first_; }  // cycle of the first beat
  bool offering() const { return offering_; }
  bool done(uint64_t frames) const { return next_ / port_.beats >= frames; }

 private:
  Source port_;
  std::vector<uint8_t> bytes_;
  Random random_;
  uint64_t next_ = 0, first_ = 0;
  bool offering_ = false;
};

// Processor seconds of this process.
std::chrono::nanoseconds processor_time() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

// Takes the beats of an output and records the cycles in which the first is offered and each frame ends.
class Taker {
 public:
  Taker(const Sink& port, uint64_t seed) : port_(port), random_(seed) { *port_.ready = 0; }

  void want(unsigned stalls) { *port_.ready = !random_.per_mille(stalls); }
  // To be called just before a clock edge.
  void sample(uint64_t cycle) {
    if (*port_.valid && !seen_) first_ = cycle, seen_ = true;
    if (!*port_.valid || !*port_.ready) return;
    const bool end = ++beats_ % port_.beats == 0;
    wrong_ |= end != static_cast<bool>(*port_.last);
    if (end) ends_.push_back(cycle);
  }
  bool wrong() const { return wrong_; }
  uint64_t first() const { return first_; }
  const std::vector<uint64_t>& frame_ends() const { return ends_; }

 private:
  Sink port_;
  Random random_;
  uint64_t beats_ = 0, first_ = 0;
  bool seen_ = false, wrong_ = false;
  std::vector<uint64_t> ends_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 8 || argc % 2) {
    std::fprintf(stderr,
                 "usage: %s INPUT_DIR OUTPUT_DIR FRAMES PATIENCE STALL_IN STALL_OUT SEED "
                 "[FRAME IMAGE]...\n",
                 argv[0]);
    return 2;
  }
  const std::string inputs = argv[1], directory = argv[2];
  const uint64_t frames = std::strtoull(argv[3], nullptr, 10);
  const uint64_t patience = std::strtoull(argv[4], nullptr, 10);
  const unsigned stall_in = std::atoi(argv[5]), stall_out = std::atoi(argv[6]);
  const uint64_t seed = std::strtoull(argv[7], nullptr, 10);

  const auto context = std::make_unique<VerilatedContext>();
  context->randReset(2);  // registers without a reset start with random values
  context->randSeed(static_cast<int>(seed % 0x7fffffff) + 1);
  const std::unique_ptr<Design> design = make_design(context.get());

  std::vector<std::unique_ptr<Recorder>> recorders;
  for (const Stream& stream : design->streams)
    recorders.push_back(std::make_unique<Recorder>(stream, directory + "/" + std::to_string(recorders.size())));
  std::vector<Feeder> feeders;
  for (const Source& port : design->sources)
    feeders.emplace_back(port, inputs + "/" + std::to_string(feeders.size()), seed + 2 * feeders.size());
  // Weight images, in order. Each waits until the frames before it have entered.
  struct Load {
    uint64_t frame;
    Feeder feeder;
    int offered;
  };
  std::vector<Load> loads;
  for (const Source& port : design->loads) {
    *port.valid = 0;
    for (int i = 8; i + 1 < argc; i += 2) {
      Source image = port;
      image.beats = read_file(argv[i + 1]).size() / port.bytes;
      loads.push_back({std::strtoull(argv[i], nullptr, 10), Feeder(image, argv[i + 1], seed + 1000 + i), 0});
    }
  }
  size_t load = 0;
  std::vector<Taker> takers;
  for (const Sink& port : design->sinks) takers.emplace_back(port, seed + 1 + 2 * takers.size());

  *design->aclk = 0;
  *design->aresetn = 0;
  for (int edge = 0; edge < 16; ++edge) {
    *design->aclk = edge & 1;
    design->eval();
  }
  *design->aresetn = 1;

  const auto done = [&] {
    return std::all_of(takers.begin(), takers.end(), [&](const Taker& t) { return t.frame_ends().size() >= frames; });
  };
  // Beats that a pool drops at the end of an image may still move when the last output has come.
  const auto settled = [&] {
    return done() && std::all_of(recorders.begin(), recorders.end(), [&](const auto& r) { return r->whole(frames); });
  };
  uint64_t cycle = 0, quiet = 0, tail = 0;
  std::vector<bool> taken(feeders.size());
  bool broken = false;

  // 64 of every 256 cycles are timed, with and without the harness: reading the clock takes long
  // compared with a small design.
  using Clock = std::chrono::steady_clock;
  Clock::duration inside{}, around{};
  const auto eval = [&] {
    if (cycle % 256 >= 64) return design->eval();
    const auto begin = Clock::now();
    design->eval();
    inside += Clock::now() - begin;
  };
  const auto started = processor_time();

  // After the last expected beat the clock runs on for a while, to catch surplus beats.
  while (tail < 64 && quiet < patience && !broken) {
    const auto begun = cycle % 256 < 64 ? Clock::now() : Clock::time_point();
    uint64_t limit = UINT64_MAX;
    bool loading = false;
    if (load < loads.size()) {
      Load& next = loads[load];
      if (std::all_of(feeders.begin(), feeders.end(), [&](const Feeder& f) { return f.done(next.frame); })) {
        next.feeder.offer(stall_in, 1);
        loading = true;
      }
      if (next.feeder.offering() || next.offered) ++next.offered;
      if (next.offered <= 2)
        limit = next.frame;
      else if (load + 1 < loads.size())
        limit = loads[load + 1].frame;
    }
    for (Feeder& feeder : feeders) feeder.offer(stall_in, limit);
    for (Taker& taker : takers) taker.want(stall_out);
    *design->aclk = 0;
    eval();

    bool moved = false;
    for (const auto& recorder : recorders) {
      moved |= recorder->sample();
      broken |= recorder->broken();
    }
    for (size_t i = 0; i < feeders.size(); ++i) taken[i] = feeders[i].taken();
    const bool load_taken = loading && loads[load].feeder.taken();
    moved |= load_taken;
    for (Taker& taker : takers) taker.sample(cycle);

    *design->aclk = 1;
    eval();
    for (size_t i = 0; i < feeders.size(); ++i) feeders[i].edge(taken[i], cycle);
    if (loading) {
      loads[load].feeder.edge(load_taken, cycle);
      if (loads[load].feeder.done(1)) {
        for (const Source& port : design->loads) *port.valid = 0;
        ++load;
      }
    }
    quiet = moved ? 0 : quiet + 1;
    tail = settled() && load == loads.size() ? tail + 1 : 0;
    if (cycle % 256 < 64) around += Clock::now() - begun;
    ++cycle;
  }
  const std::chrono::duration<double> whole = processor_time() - started;
  const double share = std::chrono::duration<double>(inside) / std::chrono::duration<double>(around);
  bool frame_error = *design->frame_error;
  const bool load_failed = design->load_failed && *design->load_failed;
  for (const Taker& taker : takers) frame_error |= taker.wrong();
  design->final();

  std::FILE* report = std::fopen((directory + "/run.json").c_str(), "w");
  if (!report) return 2;
  const auto list = [&](const auto& items, const auto& print) {
    std::fprintf(report, "[");
    const char* comma = "";
    for (const auto& item : items) std::fprintf(report, "%s", comma), print(item), comma = ", ";
    std::fprintf(report, "]");
  };
  const auto number = [&](uint64_t n) { std::fprintf(report, "%llu", static_cast<unsigned long long>(n)); };
  std::fprintf(report, "{\"cycles\": %llu, \"frame_error\": %s, ", static_cast<unsigned long long>(cycle),
               frame_error ? "true" : "false");
  std::fprintf(report, "\"seconds\": %.6f, \"design_share\": %.4f, ", whole.count(), share);
  std::fprintf(report, "\"load_failed\": %s, \"broken\": [", load_failed ? "true" : "false");
  const char* comma = "";
  for (size_t i = 0; i < recorders.size(); ++i)
    if (recorders[i]->broken()) std::fprintf(report, "%s%zu", comma, i), comma = ", ";
  std::fprintf(report, "], \"first_in\": ");
  list(feeders, [&](const Feeder& feeder) { number(feeder.first()); });
  std::fprintf(report, ", \"first_out\": ");
  list(takers, [&](const Taker& taker) { number(taker.first()); });
  std::fprintf(report, ", \"frame_ends\": ");
  list(takers, [&](const Taker& taker) { list(taker.frame_ends(), number); });
  std::fprintf(report, "}\n");
  std::fclose(report);
  if (broken) return 4;
  return done() ? 0 : 3;
}
