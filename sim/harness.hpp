// A verilated design as the harness drives it. design.cpp implements it for each design.
#ifndef BNN2HW_HARNESS_HPP
#define BNN2HW_HARNESS_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "verilated.h"

// A stream inside the design: its signals, bytes per beat, and beats per frame.
struct Stream {
  const char* name;
  const void* data;
  const CData* valid;
  const CData* ready;
  size_t bytes;
  uint64_t beats;
};

// An input: its signals, bytes per beat, and beats per frame.
struct Source {
  void* data;
  CData* valid;
  const CData* ready;
  CData* last;
  size_t bytes;
  uint64_t beats;
};

// An output: the number of its stream, its signals, and beats per frame.
struct Sink {
  size_t stream;
  const CData* valid;
  CData* ready;
  const CData* last;
  uint64_t beats;
};

// What the harness sees of a design. harness.cpp defines the members, so that they are compiled
// once per machine.
class Design {
 public:
  Design();
  virtual ~Design();
  virtual void eval() = 0;
  virtual void final() = 0;

  void stream(const Stream& stream);
  void source(const Source& port);
  void load(const Source& port);  // the port for weight images
  void sink(const Sink& port);

  CData* aclk = nullptr;
  CData* aresetn = nullptr;
  const CData* frame_error = nullptr;
  const CData* load_failed = nullptr;  // null if no memory can be written
  std::vector<Stream> streams;
  std::vector<Source> sources, loads;
  std::vector<Sink> sinks;
};

std::unique_ptr<Design> make_design(VerilatedContext* context);

#endif
