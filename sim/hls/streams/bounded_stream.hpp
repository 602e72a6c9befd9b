// A stream that holds as many beats as in hardware, for the concurrent simulation.
//
// A design has a type of stream for each width of a beat, and compilers spend their time on what is
// written out for each type. So only the copying of beats depends on the type.
#ifndef BNN2HW_BOUNDED_STREAM_HPP
#define BNN2HW_BOUNDED_STREAM_HPP

#include <cstddef>
#include <cstdio>

#include "scheduler.hpp"

namespace hls {

template <typename T, int DEPTH = 0>
class stream;

// The places of the beats in a ring, and the waiting for one.
class Ring {
 public:
  Ring(const char* name, std::size_t depth) : name_(name), depth_(depth) {}
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  bool empty() const { return bnn2hw_sim::Scheduler::here().looks_away() || count_ == 0; }
  std::size_t size() const { return count_; }

 protected:
  // Waits for a beat, and returns its place.
  std::size_t to_read() {
    bnn2hw_sim::Scheduler::here().dawdle();
    while (count_ == 0) bnn2hw_sim::Scheduler::here().wait("to read from", name_);
    return taken(head_, count_ - 1);
  }

  // Waits for a place, and returns it.
  std::size_t to_write() {
    bnn2hw_sim::Scheduler::here().dawdle();
    while (count_ == depth_) bnn2hw_sim::Scheduler::here().wait("to write to", name_);
    return taken(tail_, count_ + 1);
  }

 private:
  std::size_t taken(std::size_t& end, std::size_t count) {
    const std::size_t place = end;
    end = place + 1 == depth_ ? 0 : place + 1;
    count_ = count;
    bnn2hw_sim::Scheduler::here().moved();
    return place;
  }

  const char* name_;
  std::size_t depth_, head_ = 0, tail_ = 0, count_ = 0;
};

// A function that is called for every beat with the file that takes it.
template <typename T>
struct Recorder {
  void (*call)(const T& beat, std::FILE* file) = nullptr;
  std::FILE* file = nullptr;

  void operator()(const T& beat) const {
    if (call) call(beat, file);
  }
};

// A stream of any depth: the type of function parameters.
template <typename T>
class stream<T, 0> : public Ring {
 public:
  T read() {
    const T beat = beats_[to_read()];
    on_read(beat);
    return beat;
  }

  void write(const T& beat) {
    beats_[to_write()] = beat;
    on_write(beat);
  }

  Recorder<T> on_write, on_read;

 protected:
  stream(const char* name, std::size_t depth, T* beats) : Ring(name, depth), beats_(beats) {}

 private:
  T* const beats_;
};

// A stream that holds DEPTH beats.
template <typename T, int DEPTH>
class stream : public stream<T, 0> {
  static_assert(DEPTH > 0, "a stream holds at least one beat");

 public:
  explicit stream(const char* name = "stream") : stream<T, 0>(name, DEPTH, own_) {}

 private:
  T own_[DEPTH];
};

}  // namespace hls

#endif
