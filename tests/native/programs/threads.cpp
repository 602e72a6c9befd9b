// Two threads compute the recorded frames at the same time, each with a network of its own.

#include <atomic>
#include <cstdio>
#include <thread>

#include "frames.hpp"

int main() {
  std::atomic<int> right{0};
  const auto work = [&right] {
    net_network* network = net_create(0, nullptr);
    for (int round = 0; round < 125; ++round) {
      uint8_t found[FRAMES];
      net_run(network, FRAMES, recorded_in_image, found);
      for (size_t i = 0; i < FRAMES; ++i) right += found[i] == recorded_out_class[i];
    }
    net_destroy(network);
  };
  std::thread first(work), second(work);
  first.join();
  second.join();
  std::printf("%d frames right\n", right.load());
}
