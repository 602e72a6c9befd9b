// A generated HLS design for the harness. Only this file is compiled for each design.

#include "bench.hpp"

#include "simulation.hpp"
