// Connects a verilated design to the harness. Only this file and Verilator's are compiled for each design.
//
// "design.h" is generated for each design: the class Vtop, and describe(), which lists its streams and ports. It
// defines BNN2HW_WAVES_VCD or BNN2HW_WAVES_FST if waveforms are written, to the file that the variable BNN2HW_WAVES
// of the environment names.

#include "harness.hpp"

#include "design.h"

#ifdef BNN2HW_WAVES_VCD
#include "verilated_vcd_c.h"
#define BNN2HW_WAVES VerilatedVcdC
#endif
#ifdef BNN2HW_WAVES_FST
#include "verilated_fst_c.h"
#define BNN2HW_WAVES VerilatedFstC
#endif

#ifdef BNN2HW_WAVES
#include <cstdlib>
#endif

namespace {

class Simulated final : public Design {
 public:
  explicit Simulated(VerilatedContext* context) : top_(context) {
    aclk = &top_.aclk;
    aresetn = &top_.aresetn;
    top_.status_clear = 0;
    frame_error = &top_.frame_error;
    describe(top_, *this);
#ifdef BNN2HW_WAVES
    context->traceEverOn(true);
    top_.trace(&waves_, 99);
    waves_.set_time_unit("1ns");
    waves_.set_time_resolution("1ns");
    const char* path = std::getenv("BNN2HW_WAVES");
    waves_.open(path ? path : "waves");
#endif
  }
  void eval() override {
    top_.eval();
#ifdef BNN2HW_WAVES
    waves_.dump(time_);
    time_ += 5;  // nanoseconds: half a cycle at 100 MHz
#endif
  }
  void final() override {
    top_.final();
#ifdef BNN2HW_WAVES
    waves_.close();
#endif
  }

 private:
  Vtop top_;
#ifdef BNN2HW_WAVES
  BNN2HW_WAVES waves_;
  uint64_t time_ = 0;
#endif
};

}  // namespace

std::unique_ptr<Design> make_design(VerilatedContext* context) { return std::make_unique<Simulated>(context); }
