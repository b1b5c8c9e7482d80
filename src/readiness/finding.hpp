// What a check finds, and the words that all of them share.
#pragma once

#include "backend/guard.hpp"

namespace gallery {

enum class Status { ok, warning, blocked };

struct Finding {
  std::string name;
  Status status = Status::ok;
  int sqlstate = 0; // of the refusal, where blocked
  std::string message;
  std::string detail;
  std::string hint;
};

/// A finding that is as it should be.
Finding ok(std::string name, std::string message);

/// A finding that is told and keeps nothing from running.
Finding warning(std::string name, std::string message, std::string detail, std::string hint);

/// A finding that keeps a revert from running: SQLSTATE, message, detail and hint of the refusal.
Finding blocked(std::string name, int sqlstate, std::string message, std::string detail, std::string hint);

/// The name in double quotes, for a message.
std::string quoted(std::string_view name);

/// All names in double quotes.
std::vector<std::string> quoted_all(const std::vector<std::string> &names);

/// Throws the refusal of a blocked finding, reports a warning, does nothing where ok.
void enforce(const Finding &finding);

/// Throws the refusal of a blocked finding, keeps quiet otherwise.
void enforce_blocked(const Finding &finding);

/// A list for a detail: complete up to 100 entries, one a line, then "and N more".
std::string list_lines(const std::vector<std::string> &entries);

} // namespace gallery
