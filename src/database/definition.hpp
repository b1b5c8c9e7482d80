// The texts that the server prints as definitions of objects: what in them says nothing about the object.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace gallery {

/// Parts of a definition that a function's has: all but the body, and the body's digest.
std::pair<std::string_view, std::string_view> split_digest(std::string_view definition);

/// Removes every `qualifier` ("schema.") that starts a name, but before the names in `kept`: those would mean something
/// else without it.
void strip_qualifier(std::string &text, const std::string &qualifier, const std::set<std::string> &kept = {});

/// The text without parentheses that enclose nothing but another pair: majors of PostgreSQL print one more or one less
/// around expressions. Quoted text stays as it is.
std::string without_double_parentheses(std::string_view text);

} // namespace gallery
