// The part of hls::stream that the generated sources use, for C simulation.
//
// By default a stream holds any number of beats and everything runs in one thread, as in the
// vendor's C simulation; reading from an empty stream is an error. With BNN2HW_CONCURRENT, a stream
// holds DEPTH beats, as in hardware, and a process that cannot read or write waits for the others
// (see scheduler.hpp).
#ifndef BNN2HW_HLS_STREAM_H
#define BNN2HW_HLS_STREAM_H

#include <cstddef>
#include <string>
#include <vector>

#ifdef BNN2HW_CONCURRENT
#include <functional>

#include "scheduler.hpp"
#else
#include <stdexcept>
#endif

namespace hls {

template <typename T, int DEPTH = 0>
class stream;

// A stream of any depth: the type of function parameters.
template <typename T>
class stream<T, 0> {
 public:
  explicit stream(const char* name = "stream") : name_(name), ring_(2) {}
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;

  bool empty() const {
#ifdef BNN2HW_CONCURRENT
    if (bnn2hw_sim::Scheduler::here().looks_away()) return true;
#endif
    return count_ == 0;
  }

  T read() {
    wait_to_read();
    const T beat = ring_[head_];
    head_ = next(head_);
    --count_;
#ifdef BNN2HW_CONCURRENT
    bnn2hw_sim::Scheduler::here().moved();
    if (on_read) on_read(beat);
#endif
    return beat;
  }

  void write(const T& beat) {
    wait_to_write();
    ring_[tail_] = beat;
    tail_ = next(tail_);
    ++count_;
#ifdef BNN2HW_CONCURRENT
    bnn2hw_sim::Scheduler::here().moved();
    if (on_write) on_write(beat);
#endif
  }

  std::size_t size() const { return count_; }

#ifdef BNN2HW_CONCURRENT
  std::function<void(const T&)> on_write, on_read;  // called for every beat

 protected:
  stream(const char* name, std::size_t depth) : name_(name), ring_(depth) {}

 private:
  void wait_to_read() {
    bnn2hw_sim::Scheduler::here().dawdle();
    while (count_ == 0) bnn2hw_sim::Scheduler::here().wait("to read from", name_);
  }
  void wait_to_write() {
    bnn2hw_sim::Scheduler::here().dawdle();
    while (count_ == ring_.size()) bnn2hw_sim::Scheduler::here().wait("to write to", name_);
  }
#else
 private:
  void wait_to_read() const {
    if (count_ == 0) throw std::runtime_error("read from the empty stream '" + name_ + "'");
  }
  void wait_to_write() {
    if (count_ == ring_.size()) grow();
  }
  void grow() {
    std::vector<T> larger(2 * ring_.size());
    for (std::size_t i = 0; i < count_; ++i) {
      larger[i] = ring_[head_];
      head_ = next(head_);
    }
    ring_.swap(larger);
    head_ = 0;
    tail_ = count_;
  }
#endif

  std::size_t next(std::size_t at) const { return at + 1 == ring_.size() ? 0 : at + 1; }

  std::string name_;
  std::vector<T> ring_;
  std::size_t head_ = 0, tail_ = 0, count_ = 0;
};

// A stream that holds DEPTH beats in hardware.
template <typename T, int DEPTH>
class stream : public stream<T, 0> {
  static_assert(DEPTH > 0, "a stream holds at least one beat");

 public:
#ifdef BNN2HW_CONCURRENT
  explicit stream(const char* name = "stream") : stream<T, 0>(name, DEPTH) {}
#else
  explicit stream(const char* name = "stream") : stream<T, 0>(name) {}
#endif
};

}  // namespace hls

#endif
