// The part of the scheduler that no stream needs for each of its beats.

#ifdef __APPLE__
#define _XOPEN_SOURCE 700  // without it, ucontext.h declares nothing on some systems
#endif
#include <ucontext.h>

#include <cstddef>
#include <cstdio>

#include "scheduler.hpp"

namespace bnn2hw_sim {

namespace {

const std::size_t STACK = 1 << 20;  // bytes; large arrays of a process are static

ucontext_t scheduling;

}  // namespace

struct Scheduler::Process {
  std::string name;
  std::function<void()> body;
  ucontext_t context;
  std::unique_ptr<char[]> stack;
  bool done = false;
  const char* waits = "";  // the operation and the stream at which it last yielded
  const char* stream = "";
};

Scheduler Scheduler::only_;

Scheduler::Scheduler() : random_(0) {}

Scheduler::~Scheduler() = default;

void Scheduler::set_stalls(unsigned per_mille, std::uint64_t seed) {
  stalls_ = per_mille;
  random_ = Random(seed);
}

void Scheduler::process(const std::string& name, const std::function<void()>& body) {
  processes_.push_back(std::unique_ptr<Process>(new Process));
  Process& added = *processes_.back();
  added.name = name;
  added.body = body;
  added.stack.reset(new char[STACK]);
  getcontext(&added.context);
  added.context.uc_stack.ss_sp = added.stack.get();
  added.context.uc_stack.ss_size = STACK;
  added.context.uc_link = &scheduling;
  makecontext(&added.context, &Scheduler::enter, 0);
}

bool Scheduler::run() {
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

void Scheduler::wait(const char* what, const char* stream) {
  current_->waits = what;
  current_->stream = stream;
  yield();
}

void Scheduler::enter() {
  Scheduler& scheduler = here();
  scheduler.current_->body();
  scheduler.current_->done = true;
  scheduler.moved();
}

void Scheduler::resume(Process& process) {
  if (process.done) return;
  current_ = &process;
  swapcontext(&scheduling, &process.context);
}

void Scheduler::yield() { swapcontext(&current_->context, &scheduling); }

bool Scheduler::alive() const {
  for (const std::unique_ptr<Process>& p : processes_)
    if (!p->done) return true;
  return false;
}

// Gives every process one more turn: a round of random turns may have missed one that can go on.
bool Scheduler::stuck() {
  const unsigned stalls = stalls_;
  stalls_ = 0;
  for (const std::unique_ptr<Process>& p : processes_) resume(*p);
  stalls_ = stalls;
  if (moves_ || !alive()) return false;
  std::fprintf(stderr, "deadlock:\n");
  for (const std::unique_ptr<Process>& p : processes_)
    if (!p->done) std::fprintf(stderr, "  '%s' waits %s '%s'\n", p->name.c_str(), p->waits, p->stream);
  return true;
}

}  // namespace bnn2hw_sim
