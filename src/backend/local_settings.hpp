// Server settings that hold while an object lives.
#pragma once

#include "backend/postgres.hpp"

namespace backend {

/// All settings are as before when the object goes, or when the transaction is rolled back: those changed through it,
/// and those that code which ran meanwhile has changed.
class LocalSettings {
public:
  LocalSettings();
  ~LocalSettings();
  LocalSettings(const LocalSettings &) = delete;
  LocalSettings &operator=(const LocalSettings &) = delete;

  /// Sets a setting, with the rights of the session. Throws ServerError where the value is refused.
  void set(const char *name, const std::string &value);

private:
  int level_;
  int uncaught_;
};

} // namespace backend
