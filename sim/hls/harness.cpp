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
// This program is compiled once per machine, and is linked with each design (see bench.hpp).

#include "bench.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

[[noreturn]] void fail(const std::string& path) {
  std::perror(path.c_str());
  std::_Exit(2);  // not std::exit: a process may still run on a stack that it would destroy
}

}  // namespace

Bench::Bench(const std::string& inputs, const std::string& directory, std::uint64_t frames)
    : inputs_(inputs), directory_(directory), frames_(frames) {}

Bench::~Bench() = default;

void Bench::process(const char* name, void (*frame)()) {
  const std::uint64_t frames = frames_;
  bnn2hw_sim::Scheduler::here().process(name, [=] {
    for (std::uint64_t f = 0; f < frames; ++f) frame();
  });
}

void Bench::feed(const char* name, int number, int bytes, int beats, void* to, Send send) {
  const std::uint64_t all = frames_ * static_cast<std::uint64_t>(beats), frame = static_cast<std::uint64_t>(beats);
  std::FILE* file = input(number);
  bnn2hw_sim::Scheduler::here().process(name, [=] {
    std::vector<std::uint8_t> beat(static_cast<std::size_t>(bytes));
    for (std::uint64_t b = 0; b < all; ++b) {
      read(file, beat.data(), beat.size());
      send(to, beat.data(), (b + 1) % frame == 0);
    }
  });
}

void Bench::drain(const char* name, int beats, void* from, Take take) {
  const std::uint64_t all = frames_ * static_cast<std::uint64_t>(beats), frame = static_cast<std::uint64_t>(beats);
  bnn2hw_sim::Scheduler::here().process(name, [=] {
    for (std::uint64_t b = 0; b < all; ++b) broken_ |= !take(from, (b + 1) % frame == 0);
  });
}

std::FILE* Bench::input(int number) { return open(inputs_ + "/" + std::to_string(number), "rb"); }

std::FILE* Bench::output(int number) { return open(directory_ + "/" + std::to_string(number), "wb"); }

std::FILE* Bench::open(const std::string& path, const char* mode) {
  files_.emplace_back(std::fopen(path.c_str(), mode), &std::fclose);
  if (!files_.back()) fail(path);
  return files_.back().get();
}

void Bench::read(std::FILE* file, std::uint8_t* bytes, std::size_t count) {
  if (std::fread(bytes, 1, count, file) != count) fail("the input file");
}

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
