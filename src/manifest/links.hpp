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

// "Install a newer version, from ...".
inline std::string home() {
  constexpr std::string_view address = GALLERY_REVERT_HOMEPAGE;
  return address.empty() ? "where you got gallery_revert" : std::string(address);
}

// "Report it ...".
inline std::string reports() {
  constexpr std::string_view address = GALLERY_REVERT_BUGTRACKER;
  return address.empty() ? "where you got gallery_revert" : "at " + std::string(address);
}

} // namespace manifest
