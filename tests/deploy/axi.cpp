// An AXI4-Lite master, and streams, around a verilated bnn2hw_axi: does what a script says, line by line.
//
// Usage: axi SCRIPT SEED
//   write ADDRESS DATA STROBE   a write, its address and data in a random order and distance; prints the response
//   read ADDRESS                a read; prints data and response
//   image FILE                  writes the words of a file to 014: the first, and the others once it has been taken
//   frames FILE BEATS           offers the beats of a file, bytes each, in frames of so many
//   drain N                     waits for N beats of the output in all; prints those that came since the last drain
//
// Streams go on meanwhile. Sources and sinks, and the master's own ready signals, pause at random.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "verilated.h"

#include "design.h"

namespace {

std::unique_ptr<Vtop> top;
uint64_t noise, cycles = 0;
std::deque<uint8_t> waiting;
std::vector<uint8_t> out;
unsigned frame = 1, position = 0;

bool often() {
  noise = noise * 6364136223846793005ULL + 1442695040888963407ULL;
  return (noise >> 40) % 3 != 0;
}

[[noreturn]] void fail(const char* why) {
  std::cout << "FAIL " << why << std::endl;
  std::_Exit(1);
}

bool armed = false;  // once the reset has taken effect

struct Held {  // what a slave offers must stay until it is taken
  bool waits = false;
  uint64_t value = 0;
  void see(bool valid, bool ready, uint64_t now, const char* why) {
    if (waits && (!valid || now != value)) fail(why);
    waits = valid && !ready && armed;
    value = now;
  }
} reading, answering;

bool feeding = false;

void cycle() {
  if (!feeding && !waiting.empty() && often()) feeding = true;
  top->s_axis_tvalid = feeding;
  if (feeding) top->s_axis_tdata = waiting.front();
  top->s_axis_tlast = position == frame - 1;
  top->m_axis_tready = often();
  top->aclk = 0;
  top->eval();
  const bool taken = feeding && top->s_axis_tready;
  if (top->m_axis_tvalid && top->m_axis_tready) out.push_back(top->m_axis_tdata);
  reading.see(top->s_axi_rvalid, top->s_axi_rready, uint64_t(top->s_axi_rresp) << 32 | top->s_axi_rdata, "rvalid");
  answering.see(top->s_axi_bvalid, top->s_axi_bready, top->s_axi_bresp, "bvalid");
  top->aclk = 1;
  top->eval();
  if (taken) {
    waiting.pop_front();
    feeding = false;
    position = (position + 1) % frame;
  }
  if (++cycles > 5000000) fail("time");
}

unsigned write(uint32_t address, uint32_t data, unsigned strobe) {
  bool address_taken = false, data_taken = false, address_valid = false, data_valid = false;
  while (true) {
    if (!address_taken && often()) address_valid = true;
    if (!data_taken && often()) data_valid = true;
    top->s_axi_awvalid = address_valid;
    top->s_axi_awaddr = address;
    top->s_axi_wvalid = data_valid;
    top->s_axi_wdata = data;
    top->s_axi_wstrb = strobe;
    top->s_axi_bready = often();
    top->eval();
    const bool a = address_valid && top->s_axi_awready, d = data_valid && top->s_axi_wready;
    const bool done = top->s_axi_bvalid && top->s_axi_bready;
    const unsigned response = top->s_axi_bresp;
    if (top->s_axi_bvalid && !(address_taken && data_taken)) fail("an answer before the question");
    cycle();
    if (a) address_taken = true, address_valid = false;
    if (d) data_taken = true, data_valid = false;
    if (!done) continue;
    top->s_axi_awvalid = top->s_axi_wvalid = top->s_axi_bready = 0;
    return response;
  }
}

uint32_t read(uint32_t address, unsigned& response) {
  bool taken = false, valid = false;
  uint32_t data = 0;
  while (true) {
    if (!taken && often()) valid = true;
    top->s_axi_arvalid = valid;
    top->s_axi_araddr = address;
    top->s_axi_rready = often();
    top->eval();
    const bool a = valid && top->s_axi_arready, done = top->s_axi_rvalid && top->s_axi_rready;
    if (done) data = top->s_axi_rdata, response = top->s_axi_rresp;
    cycle();
    if (a) taken = true, valid = false;
    if (done) break;
  }
  top->s_axi_arvalid = top->s_axi_rready = 0;
  return data;
}

std::vector<uint8_t> bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(path.c_str());
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  noise = std::strtoull(argv[2], nullptr, 10) + 1;
  const auto context = std::make_unique<VerilatedContext>();
  context->randReset(2);
  context->randSeed(static_cast<int>(noise));
  top = std::make_unique<Vtop>(context.get());
  top->s_axi_awvalid = top->s_axi_wvalid = top->s_axi_bready = top->s_axi_arvalid = top->s_axi_rready = 0;
  top->s_axi_awprot = top->s_axi_arprot = 0;
  top->aresetn = 0;
  for (int i = 0; i < 8; ++i) cycle();
  top->aresetn = 1;
  out.clear();
  for (int i = 0; i < 4; ++i) cycle();
  armed = true;

  std::ifstream script(argv[1]);
  size_t printed = 0;
  for (std::string line; std::getline(script, line);) {
    std::istringstream words(line);
    std::string verb, path;
    uint32_t address = 0, data = 0, strobe = 15;
    unsigned response = 0;
    words >> verb;
    if (verb == "write") {
      words >> std::hex >> address >> data >> strobe;
      std::cout << write(address, data, strobe) << "\n";
    } else if (verb == "read") {
      words >> std::hex >> address;
      const uint32_t found = read(address, response);
      std::cout << std::hex << found << " " << response << std::dec << "\n";
    } else if (verb == "image") {
      words >> path;
      const std::vector<uint8_t> image = bytes(path);
      for (size_t i = 0; i + 3 < image.size(); i += 4) {
        const uint32_t word = image[i] | image[i + 1] << 8 | image[i + 2] << 16 | uint32_t(image[i + 3]) << 24;
        if (write(0x14, word, 15)) fail("a word found no room");
        if (i == 0)
          while (read(0x4, response) & 4) {
          }
      }
    } else if (verb == "frames") {
      words >> path >> std::dec >> frame;
      for (const uint8_t byte : bytes(path)) waiting.push_back(byte);
    } else if (verb == "drain") {
      size_t count;
      words >> std::dec >> count;
      while (out.size() < count) cycle();
      for (; printed < count; ++printed) std::cout << unsigned(out[printed]) << " ";
      std::cout << "\n";
    }
  }
  for (int i = 0; i < 200; ++i) cycle();
  if (out.size() != printed) fail("more came out than was asked for");
  std::cout << "done\n";
  top.reset();  // before its context
  return 0;
}
