// What an owner loses by a revert: a value, stated by the rule that takes it away or, where it only goes with Gallery's
// tables, by a rule that does nothing else.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gallery {

class Context;

/// A thing in the owner's words, for one of them and for any other number.
struct Noun {
  std::string_view one;
  std::string_view many;
};

struct Loss {
  Noun what;
  Noun with = {};                                // what goes along with it, where that is counted as well
  std::string_view instead;                      // what becomes of it, and of what hangs on it
  std::string_view as_albums = {};               // the same where spaces become albums, if it is something else
  std::span<const std::string_view> tables = {}; // of Gallery's, whose rows are meant by it
  /// A query for what is lost, with the columns name (text, for people), number (bigint, of the things that the name
  /// stands for) and part (bigint, of what goes along). Empty where this database cannot have any.
  std::string (*list)(const Context &db) = nullptr;
};

/// A loss that is there.
struct FoundLoss {
  std::string what; // "pets with 94 faces"
  std::int64_t count = 0;
  std::string names; // an array as the server writes it: at most 100, then how many more there are
  std::string instead;
};

/// The noun for so many.
std::string_view form_of(const Noun &noun, std::int64_t count);
/// "1 photo", "2 photos"
std::string counted(std::int64_t count, const Noun &noun);
/// The same as SQL, of a bigint.
std::string counted_sql(const std::string &count, const Noun &noun);

} // namespace gallery
