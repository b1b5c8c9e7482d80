// Version numbers as Immich, Gallery and their image tags write them. Plain text work, nothing of the server.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace gallery {

/// A semantic version: 2.7.5, v5.2.0-rc.0. A pre-release sorts before its release.
struct Version {
  int major = 0;
  int minor = 0;
  int patch = 0;
  std::string prerelease;

  [[nodiscard]] std::string tag() const; // v2.7.5
  [[nodiscard]] bool same_line(const Version &other) const { return major == other.major && minor == other.minor; }
  std::strong_ordering operator<=>(const Version &other) const;
  bool operator==(const Version &other) const = default;
};

/// Reads "2.7.5", "v2.7.5" or "5.2.0-rc.0"; nothing where the text is not such a version.
std::optional<Version> parse_version(std::string_view text);

} // namespace gallery
