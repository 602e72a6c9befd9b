// Sources and sinks around a verilated bnn2hw_top that break the rules of frames, and resets at any time.
//
// Usage: protocol FOLDER SEED [CYCLES RESET]...
//   FOLDER   holds in<phase>_<n> for each input and takes out<phase>_<n> for each output: records of a byte for tlast
//            and the bytes of a beat
//   CYCLES   cycles of a phase; 0 until nothing has moved for 3000 cycles
//   RESET    cycles of reset before the phase
//
// Prints, for each phase, frame_error, frame_count and drop_count at its end, and clears them there: phase 1, 3, ... by
// status_clear. Fails if a beat moves in a reset, or if an offered beat changes. "design.h" defines ports().

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "verilated.h"

struct Axis {
  void* data;
  CData* valid;
  CData* ready;
  CData* last;
  size_t bytes;
};

#include "design.h"

namespace {

uint64_t noise;

bool often() {
  noise = noise * 6364136223846793005ULL + 1442695040888963407ULL;
  return (noise >> 40) % 4 != 0;
}

[[noreturn]] void fail(const char* why) {
  std::printf("FAIL %s\n", why);
  std::exit(1);
}

std::vector<uint8_t> read_file(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) fail(path.c_str());
  std::vector<uint8_t> bytes;
  for (int c; (c = std::fgetc(file)) != EOF;) bytes.push_back(static_cast<uint8_t>(c));
  std::fclose(file);
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string folder = argv[1];
  noise = std::strtoull(argv[2], nullptr, 10) * 7919 + 1;
  VerilatedContext context;
  context.randReset(2);
  context.randSeed(static_cast<int>(noise % 1000) + 1);
  Vtop top(&context);
  std::vector<Axis> sources, sinks;
  ports(top, sources, sinks);
  top.status_clear = 0;
  const auto tick = [&] {
    top.aclk = 1;
    top.eval();
    top.aclk = 0;
    top.eval();
  };
  for (int phase = 0; 3 + 2 * phase + 1 < argc; ++phase) {
    const long cycles = std::atol(argv[3 + 2 * phase]), reset = std::atol(argv[4 + 2 * phase]);
    top.aresetn = 0;  // sources and sinks go on as they were
    for (long i = 0; i < reset; ++i) {
      top.eval();
      for (const Axis& s : sources)
        if (*s.ready) fail("tready in reset");
      for (const Axis& m : sinks)
        if (*m.valid) fail("tvalid in reset");
      tick();
    }
    top.aresetn = 1;
    std::vector<std::vector<uint8_t>> in, out(sinks.size()), held(sinks.size());
    std::vector<size_t> next(sources.size());
    for (size_t i = 0; i < sources.size(); ++i) {
      in.push_back(read_file(folder + "/in" + std::to_string(phase) + "_" + std::to_string(i)));
      *sources[i].valid = 0;
    }
    for (long cycle = 0, quiet = 0; cycles ? cycle < cycles : quiet < 3000; ++cycle, ++quiet) {
      for (size_t i = 0; i < sources.size(); ++i) {
        const Axis& s = sources[i];
        if (!*s.valid && next[i] < in[i].size() && often()) {
          *s.valid = 1;
          *s.last = in[i][next[i]];
          std::memcpy(s.data, &in[i][next[i] + 1], s.bytes);
        }
      }
      for (const Axis& m : sinks) *m.ready = often();
      top.eval();
      std::vector<bool> taken;
      for (const Axis& s : sources) taken.push_back(*s.valid && *s.ready);
      for (size_t i = 0; i < sinks.size(); ++i) {
        const Axis& m = sinks[i];
        std::vector<uint8_t> beat(1, *m.last);
        const uint8_t* data = static_cast<const uint8_t*>(m.data);
        beat.insert(beat.end(), data, data + m.bytes);
        if (!held[i].empty() && (!*m.valid || beat != held[i])) fail("an offered beat changed");
        held[i].clear();
        if (*m.valid && !*m.ready) held[i] = beat;
        if (*m.valid && *m.ready) {
          out[i].insert(out[i].end(), beat.begin(), beat.end());
          quiet = 0;
        }
      }
      tick();
      for (size_t i = 0; i < sources.size(); ++i)
        if (taken[i]) {
          *sources[i].valid = 0;
          next[i] += 1 + sources[i].bytes;
          quiet = 0;
        }
    }
    for (size_t i = 0; i < sinks.size(); ++i) {
      std::FILE* file = std::fopen((folder + "/out" + std::to_string(phase) + "_" + std::to_string(i)).c_str(), "wb");
      std::fwrite(out[i].data(), 1, out[i].size(), file);
      std::fclose(file);
    }
    std::printf("%d %u %u\n", top.frame_error, top.frame_count, top.drop_count);
    if (phase % 2) {
      top.status_clear = 1;
      tick();
      top.status_clear = 0;
    }
    std::printf("%d %u %u\n", top.frame_error, top.frame_count, top.drop_count);
  }
  return 0;
}
