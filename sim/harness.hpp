// A verilated design as the harness drives it. design.cpp implements it for each design.
#ifndef BNN2HW_HARNESS_HPP
#define BNN2HW_HARNESS_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "verilated.h"

// The signals of a stream inside the design, bytes per beat, and beats per frame.
struct Stream {
  const char* name;
  const void* data;
  const CData* valid;
  const CData* ready;
  size_t bytes;
  uint64_t beats;
};

// The signals of an input, bytes per beat, and beats per frame.
struct Source {
  void* data;
  CData* valid;
  const CData* ready;
  CData* last;
  size_t bytes;
  uint64_t beats;
};

// The number of the stream that is an output, its signals, and beats per frame.
struct Sink {
  size_t stream;
  const CData* valid;
  CData* ready;
  const CData* last;
  uint64_t beats;
};

// Its members are defined in harness.cpp, so that the compiler meets them once and not with each design.
class Design {
 public:
  Design();
  virtual ~Design();
  virtual void eval() = 0;
  virtual void final() = 0;

  void stream(const Stream& stream);
  void source(const Source& port);
  void load(const Source& port);  // takes weight images, if there is such a port
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
