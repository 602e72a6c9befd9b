// What the processor and its operating system support.

#include <cstring>

#include "kernels.hpp"

namespace bnn2hw {

bool runs(const char* version) {
  const auto is = [version](const char* name) { return !std::strcmp(version, name); };
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("fma");
  const bool has_vnni = has_avx512 && __builtin_cpu_supports("avx512vnni");
  if (is("avx512popcnt")) return has_vnni && __builtin_cpu_supports("avx512bitalg");
  if (is("avx512vnni")) return has_vnni;
  if (is("avx512")) return has_avx512;
  if (is("avx2")) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return is("plain");
}

}  // namespace bnn2hw
