// The versions of the kernels that this program has, the fastest first, and the choice among them: all versions with
// BNN2HW_VERSIONS, one with BNN2HW_ONLY as its name, else the one that is compiled with whatever options the compiler got.

#include <cstring>

#include "kernels.hpp"

namespace bnn2hw {

#if defined(BNN2HW_ONLY)
extern const Kernels BNN2HW_ONLY;
static const Kernels* const versions[] = {&BNN2HW_ONLY};
#elif defined(BNN2HW_VERSIONS) && defined(__x86_64__)
extern const Kernels plain, avx2, avx512, avx512vnni, avx512popcnt;
static const Kernels* const versions[] = {&avx512popcnt, &avx512vnni, &avx512, &avx2, &plain};
#else
extern const Kernels plain;
static const Kernels* const versions[] = {&plain};
#endif

const Kernels* kernels(const char* name) {
  for (const Kernels* k : versions) {
    if ((!name || !*name || !std::strcmp(name, k->name)) && runs(k->name)) return k;
  }
  return nullptr;
}

}  // namespace bnn2hw
