// Where hints send people: the addresses in META.json, from which the build takes them, or, while none is published, in
// words.
#pragma once

#include <string>
#include <string_view>

#ifndef GALLERY_REVERT_HOMEPAGE
#define GALLERY_REVERT_HOMEPAGE ""
#endif
#ifndef GALLERY_REVERT_BUGTRACKER
#define GALLERY_REVERT_BUGTRACKER ""
#endif

namespace manifest {

// Either may be empty.
// NOLINTBEGIN(readability-redundant-string-init)
constexpr std::string_view homepage = GALLERY_REVERT_HOMEPAGE;
constexpr std::string_view bugtracker = GALLERY_REVERT_BUGTRACKER;
// NOLINTEND(readability-redundant-string-init)

// "Install a newer version, from ...".
inline std::string home() {
  return homepage.empty() ? "where you got gallery_revert" : std::string(homepage);
}

// "Report it ...".
inline std::string reports() {
  return bugtracker.empty() ? "where you got gallery_revert" : "at " + std::string(bugtracker);
}

} // namespace manifest
