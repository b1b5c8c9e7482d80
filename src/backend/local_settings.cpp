// Settings on a nesting level of their own. A function with a SET clause keeps what was SET within it; here nothing is
// kept, because code of somebody else may have run meanwhile.
#include "backend/local_settings.hpp"

#include "backend/guard.hpp"

extern "C" {
#include "utils/guc.h"
}

namespace backend {

LocalSettings::LocalSettings()
    : level_(guard([]() noexcept { return NewGUCNestLevel(); })), uncaught_(std::uncaught_exceptions()) {}

LocalSettings::~LocalSettings() {
  // While an error passes through, the end of the transaction undoes the settings.
  if (std::uncaught_exceptions() > uncaught_)
    return;
  auto restore = [this]() noexcept { AtEOXact_GUC(false, level_); };
  if (ErrorData *error = run_guarded([](void *arg) { (*static_cast<decltype(restore) *>(arg))(); }, &restore))
    elog(WARNING, "could not restore settings: %s", error->message);
}

void LocalSettings::set(const char *name, const std::string &value) {
  guard([&]() noexcept {
    (void)set_config_option(name, value.c_str(), PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
  });
}

} // namespace backend
