// All rules, applied in their order.
#pragma once

#include "rules/rule.hpp"

namespace gallery {

/// Steps and remarks of all rules whose needs are met.
Outcome apply_rules(const Context &db);

/// The losses that rules state whose needs are met, each once.
std::vector<const Loss *> losses_of_rules(const Context &db);

/// What of Gallery's the rules that are asked for read. Such tables stay until the rules are done; all others go first,
/// so that deleting rows of Immich's tables does not look for rows of theirs.
bool is_read_by_rules(const manifest::GalleryObject &object);

} // namespace gallery
