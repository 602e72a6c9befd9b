// A stream that holds any number of beats, for a simulation in one thread.
#ifndef BNN2HW_GROWING_STREAM_HPP
#define BNN2HW_GROWING_STREAM_HPP

#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

namespace hls {

[[noreturn]] inline void run_dry(const char* name) {
  throw std::runtime_error(std::string("read from the empty stream '") + name + "'");
}

template <typename T, int DEPTH = 0>
class stream;

// A stream of any depth: the type of function parameters.
template <typename T>
class stream<T, 0> {
 public:
  explicit stream(const char* name = "stream") : name_(name), ring_(2) {}
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;

  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }

  T read() {
    if (count_ == 0) run_dry(name_);
    const T beat = ring_[head_];
    head_ = next(head_);
    --count_;
    return beat;
  }

  void write(const T& beat) {
    if (count_ == ring_.size()) grow();
    ring_[tail_] = beat;
    tail_ = next(tail_);
    ++count_;
  }

 private:
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
  std::size_t next(std::size_t at) const { return at + 1 == ring_.size() ? 0 : at + 1; }

  const char* name_;
  std::vector<T> ring_;
  std::size_t head_ = 0, tail_ = 0, count_ = 0;
};

// A stream that holds DEPTH beats in hardware.
template <typename T, int DEPTH>
class stream : public stream<T, 0> {
  static_assert(DEPTH > 0, "a stream holds at least one beat");

 public:
  explicit stream(const char* name = "stream") : stream<T, 0>(name) {}
};

}  // namespace hls

#endif
