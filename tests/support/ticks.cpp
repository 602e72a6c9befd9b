// Gives a module without other ports the cycles of its clock `clk` that the first argument says.

#include <cstdlib>
#include <memory>

#include "verilated.h"

#include "design.h"

int main(int, char** argv) {
  VerilatedContext context;
  const auto top = std::make_unique<Vtop>(&context);
  top->eval();
  for (long cycle = std::atol(argv[1]); cycle && !context.gotFinish(); --cycle)
    for (const int level : {1, 0}) {
      top->clk = static_cast<CData>(level);
      top->eval();
    }
  return 0;
}
