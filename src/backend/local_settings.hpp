// Server settings that hold while an object lives.
#pragma once

#include "backend/postgres.hpp"

namespace backend {

/// Settings changed through the object are as before when it goes, or when the transaction is rolled back.
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
