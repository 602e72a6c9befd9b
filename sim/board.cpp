// A simulated board behind a pseudo-terminal.
//
// It drives the serial pins of a verilated shell, bit by bit, with the bytes that a program writes
// to the terminal, and passes on what the shell sends. It can damage both directions at random.
//
// Usage: board FLIP_IN FLIP_OUT DROP_IN DROP_OUT NOISE_IN SEED
//   FLIP_*    bytes per million in which a bit is inverted
//   DROP_*    bytes per million that are lost
//   NOISE_IN  bytes per million before which a random byte is inserted
//
// The program prints the name of the terminal and runs until it is killed or its input is closed.
// "design.h" is generated: the type Top; DIVISOR, cycles per bit; PATIENCE, cycles after which an
// idle shell does nothing more.

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>

#include "verilated.h"

#include "design.h"

namespace {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2685821657736338717ULL + 88172645463325252ULL) {}
  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 2685821657736338717ULL >> 24;
  }
  bool per_million(uint64_t chance) { return next() % 1000000 < chance; }

 private:
  uint64_t state_;
};

int open_terminal() {
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || grantpt(master) || unlockpt(master)) {
    std::perror("pseudo-terminal");
    std::exit(2);
  }
  // Held open here too, so that the terminal outlives the programs that use it. Bytes pass
  // unchanged.
  const int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  termios raw;
  tcgetattr(slave, &raw);
  cfmakeraw(&raw);
  tcsetattr(slave, TCSANOW, &raw);
  fcntl(master, F_SETFL, O_NONBLOCK);
  std::printf("%s\n", ptsname(master));
  std::fflush(stdout);
  return master;
}

// Drives the rx pin of the shell.
class Sender {
 public:
  bool idle() const { return left_ == 0; }
  void start(uint8_t byte) {
    bits_ = 0x200u | byte << 1;
    left_ = 10;
    timer_ = DIVISOR;
  }
  bool step() {
    const bool level = left_ == 0 || (bits_ & 1);
    if (left_ && --timer_ == 0) {
      bits_ >>= 1;
      timer_ = DIVISOR;
      --left_;
    }
    return level;
  }

 private:
  unsigned bits_ = 0, left_ = 0, timer_ = 0;
};

// Samples the tx pin of the shell; returns a byte when one is complete, else -1.
class Receiver {
 public:
  int step(bool level) {
    if (!busy_) {
      if (!level) busy_ = true, timer_ = DIVISOR + DIVISOR / 2, position_ = 0;
      return -1;
    }
    if (--timer_) return -1;
    timer_ = DIVISOR;
    if (position_ == 8) {
      busy_ = false;
      return level ? byte_ : -1;
    }
    byte_ = static_cast<uint8_t>(byte_ >> 1 | (level ? 0x80 : 0));
    ++position_;
    return -1;
  }
  bool busy() const { return busy_; }

 private:
  bool busy_ = false;
  unsigned timer_ = 0, position_ = 0;
  uint8_t byte_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr, "usage: %s FLIP_IN FLIP_OUT DROP_IN DROP_OUT NOISE_IN SEED\n", argv[0]);
    return 2;
  }
  uint64_t chance[5];
  for (int i = 0; i < 5; ++i) chance[i] = std::strtoull(argv[i + 1], nullptr, 10);
  const uint64_t seed = std::strtoull(argv[6], nullptr, 10);
  Random random(seed);

  const auto context = std::make_unique<VerilatedContext>();
  context->randReset(2);
  context->randSeed(static_cast<int>(seed % 0x7fffffff) + 1);
  const auto top = std::make_unique<Top>(context.get());
  const int master = open_terminal();

  Sender to_shell;
  Receiver from_shell;
  std::deque<uint8_t> waiting;
  const auto damage = [&](uint8_t byte, uint64_t flip) {
    return random.per_million(flip) ? static_cast<uint8_t>(byte ^ 1u << random.next() % 8) : byte;
  };

  uint64_t quiet = 0;
  for (uint64_t cycle = 0;; ++cycle) {
    if (to_shell.idle() && waiting.empty() && cycle % 64 == 63) {  // not in reset
      uint8_t block[256];
      const ssize_t count = read(master, block, sizeof block);
      for (ssize_t i = 0; i < count; ++i) {
        if (random.per_million(chance[4])) waiting.push_back(static_cast<uint8_t>(random.next()));
        if (!random.per_million(chance[2])) waiting.push_back(damage(block[i], chance[0]));
      }
    }
    if (to_shell.idle() && !waiting.empty()) {
      to_shell.start(waiting.front());
      waiting.pop_front();
    }
    top->rst = cycle < 8;
    top->rx = to_shell.step();
    top->clk = 0;
    top->eval();
    top->clk = 1;
    top->eval();
    const int byte = cycle < 8 ? -1 : from_shell.step(top->tx);
    if (byte >= 0 && !random.per_million(chance[3])) {
      const uint8_t out = damage(static_cast<uint8_t>(byte), chance[1]);
      while (write(master, &out, 1) != 1) usleep(100);
    }
    // While the line is idle, the simulation waits for the next byte instead of running on.
    quiet = to_shell.idle() && waiting.empty() && !from_shell.busy() ? quiet + 1 : 0;
    if (quiet > PATIENCE && cycle % 64 == 62) {
      pollfd event{master, POLLIN, 0};
      poll(&event, 1, 20);
    }
    if (cycle % 65536 == 0 && getppid() == 1) return 0;
  }
}
