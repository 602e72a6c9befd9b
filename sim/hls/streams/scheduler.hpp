// Processes of a dataflow region as coroutines: each runs until it must wait for a stream.
//
// All share one thread, so a run is repeatable, and a deadlock is certain: no process can go on.
// With stalls, the next process is chosen at random, and processes yield at random.
#ifndef BNN2HW_SCHEDULER_HPP
#define BNN2HW_SCHEDULER_HPP

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bnn2hw_sim {

class Random {  // xorshift64*: a seed gives the same run on every system
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 2685821657736338717ULL + 88172645463325252ULL) {}
  unsigned below(unsigned limit) {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return static_cast<unsigned>((state_ * 2685821657736338717ULL >> 33) % limit);
  }

 private:
  std::uint64_t state_;
};

class Scheduler {
 public:
  // The scheduler of the program, which all streams use.
  static Scheduler& here() { return only_; }

  // Stalls: per mille of the stream operations before which a process yields.
  void set_stalls(unsigned per_mille, std::uint64_t seed);

  void process(const std::string& name, const std::function<void()>& body);

  // Runs all processes to their ends; returns false after a deadlock, which stderr describes.
  bool run();

  void moved() { ++moves_; }
  void wait(const char* what, const char* stream);
  void dawdle() {
    if (looks_away()) yield();
  }
  bool looks_away() { return stalls_ && random_.below(1000) < stalls_; }

 private:
  struct Process;

  Scheduler();
  ~Scheduler();
  static void enter();
  void resume(Process& process);
  void yield();
  bool alive() const;
  bool stuck();

  static Scheduler only_;

  std::vector<std::unique_ptr<Process>> processes_;
  Process* current_ = nullptr;
  unsigned stalls_ = 0;
  Random random_;
  std::uint64_t moves_ = 0;
};

}  // namespace bnn2hw_sim

#endif
