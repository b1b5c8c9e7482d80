// Findings: made, enforced, and put into words.
#include "readiness/finding.hpp"

#include <algorithm>

namespace gallery {

namespace {

constexpr std::size_t longest_list = 100;

} // namespace

Finding ok(std::string name, std::string message) {
  Finding finding;
  finding.name = std::move(name);
  finding.message = std::move(message);
  return finding;
}

Finding blocked(std::string name, int sqlstate, std::string message, std::string detail, std::string hint) {
  Finding finding;
  finding.name = std::move(name);
  finding.status = Status::blocked;
  finding.sqlstate = sqlstate;
  finding.message = std::move(message);
  finding.detail = std::move(detail);
  finding.hint = std::move(hint);
  return finding;
}

Finding warning(std::string name, std::string message, std::string detail, std::string hint) {
  auto finding = blocked(std::move(name), 0, std::move(message), std::move(detail), std::move(hint));
  finding.status = Status::warning;
  return finding;
}

std::string quoted(std::string_view name) {
  return '"' + std::string(name) + '"';
}

std::vector<std::string> quoted_all(const std::vector<std::string> &names) {
  std::vector<std::string> result;
  result.reserve(names.size());
  for (const auto &name : names)
    result.push_back(quoted(name));
  return result;
}

namespace {

/// An entry is one line, whatever names are in it: a line break in one could pass for a line of ours.
std::string one_line(const std::string &entry) {
  std::string line;
  for (char c : entry)
    if (static_cast<unsigned char>(c) < ' ') {
      constexpr const char *digits = "0123456789abcdef";
      line += "\\x";
      line += digits[static_cast<unsigned char>(c) / 16];
      line += digits[static_cast<unsigned char>(c) % 16];
    } else {
      line += c;
    }
  return line;
}

} // namespace

std::string list_lines(const std::vector<std::string> &entries) {
  std::string result;
  for (std::size_t i = 0; i < std::min(entries.size(), longest_list); ++i)
    result += (i == 0 ? "" : "\n") + one_line(entries[i]);
  if (entries.size() > longest_list)
    result += "\nand " + std::to_string(entries.size() - longest_list) + " more";
  return result;
}

void enforce_blocked(const Finding &finding) {
  if (finding.status == Status::blocked)
    throw backend::Refusal(finding.sqlstate, finding.message, finding.detail, finding.hint);
}

void enforce(const Finding &finding) {
  enforce_blocked(finding);
  if (finding.status == Status::warning)
    backend::report(WARNING, finding.message, finding.detail, finding.hint);
}

} // namespace gallery
