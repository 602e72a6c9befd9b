// Processes of a dataflow region as coroutines: each runs until it must wait for a stream.
//
// All share one thread, so a run is repeatable, and a deadlock is certain: no process can go on.
// With stalls, the next process is chosen at random, and processes yield at random.
#ifndef BNN2HW_SCHEDULER_HPP
#define BNN2HW_SCHEDULER_HPP

#ifdef __APPLE__
#define _XOPEN_SOURCE 700  // without it, ucontext.h declares nothing on some systems
#endif
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
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
  static Scheduler& here() {
    static Scheduler only;
    return only;
  }

  // Stalls: per mille of the stream operations before which a process yields.
  void set_stalls(unsigned per_mille, std::uint64_t seed) {
    stalls_ = per_mille;
    random_ = Random(seed);
  }

  void process(const std::string& name, const std::function<void()>& body) {
    processes_.push_back(std::unique_ptr<Process>(new Process));
    Process& added = *processes_.back();
    added.name = name;
    added.body = body;
    added.stack.reset(new char[STACK]);
    getcontext(&added.context);
    added.context.uc_stack.ss_sp = added.stack.get();
    added.context.uc_stack.ss_size = STACK;
    added.context.uc_link = &main_;
    makecontext(&added.context, &Scheduler::enter, 0);
  }

  // Runs all processes to their ends; returns false after a deadlock, which stderr describes.
  bool run() {
    std::size_t turn = 0;
    while (alive()) {
      moves_ = 0;
      for (std::size_t i = 0; i < processes_.size(); ++i) {
        turn = stalls_ ? random_.below(static_cast<unsigned>(processes_.size())) : i;
        resume(*processes_[turn]);
      }
      if (moves_ == 0 && stuck()) return false;
    }
    return true;
  }

  void moved() { ++moves_; }
  void wait(const char* what, const std::string& stream) {
    current_->waits = what;
    current_->stream = &stream;
    yield();
  }
  void dawdle() {
    if (looks_away()) yield();
  }
  bool looks_away() { return stalls_ && random_.below(1000) < stalls_; }

 private:
  struct Process {
    std::string name;
    std::function<void()> body;
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    bool done = false;
    const char* waits = "";  // the operation and the stream at which it last yielded
    const std::string* stream = nullptr;
  };
  static const std::size_t STACK = 1 << 20;  // bytes; large arrays of a process are static

  Scheduler() : random_(0) {}

  static void enter() {
    Scheduler& scheduler = here();
    scheduler.current_->body();
    scheduler.current_->done = true;
    scheduler.moved();
  }
  void resume(Process& process) {
    if (process.done) return;
    current_ = &process;
    swapcontext(&main_, &process.context);
  }
  void yield() { swapcontext(&current_->context, &main_); }
  bool alive() const {
    for (const std::unique_ptr<Process>& p : processes_)
      if (!p->done) return true;
    return false;
  }
  // Gives every process one more turn: a round of random turns may have missed one that can go on.
  bool stuck() {
    const unsigned stalls = stalls_;
    stalls_ = 0;
    for (const std::unique_ptr<Process>& p : processes_) resume(*p);
    stalls_ = stalls;
    if (moves_ || !alive()) return false;
    std::fprintf(stderr, "deadlock:\n");
    for (const std::unique_ptr<Process>& p : processes_)
      if (!p->done) std::fprintf(stderr, "  '%s' waits %s '%s'\n", p->name.c_str(), p->waits, p->stream->c_str());
    return true;
  }

  std::vector<std::unique_ptr<Process>> processes_;
  Process* current_ = nullptr;
  ucontext_t main_ = {};
  unsigned stalls_ = 0;
  Random random_;
  std::uint64_t moves_ = 0;
};

}  // namespace bnn2hw_sim

#endif
