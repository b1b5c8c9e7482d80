// Reading and comparing version numbers.
#include "database/version.hpp"

#include <algorithm>
#include <charconv>

namespace gallery {

namespace {

/// The number at the start of `text`, which is consumed; nothing where there is none or it is too large.
std::optional<int> take_number(std::string_view &text) {
  int number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0 || text.front() == '-')
    return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

bool take(std::string_view &text, char c) {
  if (text.empty() || text.front() != c)
    return false;
  text.remove_prefix(1);
  return true;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_number(std::string_view part) {
  return std::all_of(part.begin(), part.end(), is_digit);
}

/// The part of a pre-release text before the first dot, which is consumed with it.
std::string_view take_part(std::string_view &text) {
  auto const part = text.substr(0, text.find('.'));
  text.remove_prefix(std::min(text.size(), part.size() + 1));
  return part;
}

/// Is this a part of a pre-release text: letters, digits and hyphens, and if a number without leading zeros?
bool is_part(std::string_view part) {
  auto is_allowed = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-'; };
  bool const padded = part.size() > 1 && part.front() == '0' && is_number(part);
  return !part.empty() && !padded && std::all_of(part.begin(), part.end(), is_allowed);
}

bool is_prerelease(std::string_view text) {
  if (text.empty() || text.back() == '.')
    return false;
  while (!text.empty())
    if (!is_part(take_part(text)))
      return false;
  return true;
}

/// Numbers by value, however large, and before words; words by character.
std::strong_ordering compare_parts(std::string_view a, std::string_view b) {
  if (is_number(a) != is_number(b))
    return is_number(a) ? std::strong_ordering::less : std::strong_ordering::greater;
  if (is_number(a) && a.size() != b.size())
    return a.size() <=> b.size();
  return a <=> b;
}

/// Compares pre-release texts part by part, as semantic versions are: rc.2 before rc.10, rc before rc.1.
std::strong_ordering compare_prerelease(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty())
    if (auto order = compare_parts(take_part(a), take_part(b)); order != 0)
      return order;
  return a.size() <=> b.size();
}

} // namespace

std::string Version::tag() const {
  auto text = 'v' + std::to_string(major) + '.' + std::to_string(minor) + '.' + std::to_string(patch);
  return prerelease.empty() ? text : text + '-' + prerelease;
}

std::strong_ordering Version::operator<=>(const Version &other) const {
  if (auto order = major <=> other.major; order != 0)
    return order;
  if (auto order = minor <=> other.minor; order != 0)
    return order;
  if (auto order = patch <=> other.patch; order != 0)
    return order;
  if (prerelease.empty() || other.prerelease.empty())
    return prerelease.empty() <=> other.prerelease.empty();
  return compare_prerelease(prerelease, other.prerelease);
}

std::optional<Version> parse_version(std::string_view text) {
  Version version;
  take(text, 'v');
  if (text.empty())
    return std::nullopt;
  auto major = take_number(text);
  if (!major || !take(text, '.') || text.empty())
    return std::nullopt;
  auto minor = take_number(text);
  if (!minor || !take(text, '.') || text.empty())
    return std::nullopt;
  auto patch = take_number(text);
  if (!patch)
    return std::nullopt;
  version.major = *major;
  version.minor = *minor;
  version.patch = *patch;
  if (take(text, '-')) {
    if (!is_prerelease(text))
      return std::nullopt;
    version.prerelease = text;
  } else if (!text.empty()) {
    return std::nullopt;
  }
  return version;
}

} // namespace gallery
