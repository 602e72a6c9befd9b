// The versions of the kernels, the fastest first, and the one that this processor runs. Without BNN2HW_VERSIONS there is
// one version, which is compiled with whatever options the compiler got.

#include <cstring>

#include "kernels.hpp"

namespace bnn2hw {

extern const Kernels plain;
#if defined(BNN2HW_VERSIONS) && defined(__x86_64__)
extern const Kernels avx2;
extern const Kernels avx512;
extern const Kernels avx512vnni;
extern const Kernels avx512popcnt;
#endif

const Kernels* kernels(const char* name) {
  const auto asked = [name](const Kernels& k) { return !name || !*name || !std::strcmp(name, k.name); };
#if defined(BNN2HW_VERSIONS) && defined(__x86_64__)
  __builtin_cpu_init();
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("fma");
  const bool has_vnni = has_avx512 && __builtin_cpu_supports("avx512vnni");
  if (asked(avx512popcnt) && has_vnni && __builtin_cpu_supports("avx512bitalg")) return &avx512popcnt;
  if (asked(avx512vnni) && has_vnni) return &avx512vnni;
  if (asked(avx512) && has_avx512) return &avx512;
  if (asked(avx2) && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &avx2;
#endif
  return asked(plain) ? &plain : nullptr;
}

}  // namespace bnn2hw
