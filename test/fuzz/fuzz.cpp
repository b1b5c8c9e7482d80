// libFuzzer's entry: runs the target that FUZZ_TARGET in the environment names.
#include "targets.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size) {
  static const auto *const target = [] {
    const char *const wanted = std::getenv("FUZZ_TARGET"); // NOLINT(concurrency-mt-unsafe): one thread
    const auto *const found = std::find_if(fuzz::targets.begin(), fuzz::targets.end(),
                                           [&](const auto &t) { return wanted != nullptr && t.name == wanted; });
    if (found == fuzz::targets.end())
      std::abort();
    return found;
  }();
  target->run({reinterpret_cast<const char *>(data), size});
  return 0;
}
