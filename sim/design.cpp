// Connects a verilated design to the harness. Only this file and Verilator's are compiled for each design.
//
// "design.h" is generated for each design: the class Vtop, and describe(), which lists its streams and ports.

#include "harness.hpp"

#include "design.h"

namespace {

class Simulated final : public Design {
 public:
  explicit Simulated(VerilatedContext* context) : top_(context) {
    aclk = &top_.aclk;
    aresetn = &top_.aresetn;
    top_.status_clear = 0;
    frame_error = &top_.frame_error;
    describe(top_, *this);
  }
  void eval() override { top_.eval(); }
  void final() override { top_.final(); }

 private:
  Vtop top_;
};

}  // namespace

std::unique_ptr<Design> make_design(VerilatedContext* context) { return std::make_unique<Simulated>(context); }
