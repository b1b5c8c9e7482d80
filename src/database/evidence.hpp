// The evidence rule: what in a database is Gallery's. A thing is what it is, not what it is called: its name, kind,
// owner and shape must be those that a recorded migration gave it.
#pragma once

#include "database/identity.hpp"

namespace gallery {

/// An object that is called as something of Gallery's and is not: never read, never dropped, always named.
struct Stranger {
  FoundObject object;
  bool recorded = false; // the migration that makes such an object is recorded, so Gallery's own was there once
  bool read = false;     // rules read such a thing, and nothing can be told from half of one
  bool lost = false;     // a whole table of Gallery's, but the ledger lacks the row
  std::string why;       // "belongs to mallory", "has the column my_notes, which Gallery does not make"
};

/// A table of Gallery's that is missing, and one of another name with all of its columns.
struct Renamed {
  std::string table;
  std::string now;
};

struct Evidence {
  std::vector<FoundObject> objects; // Gallery's, in the order of the facts
  std::vector<std::string> ledgers; // Gallery's own ledger and its lock table, where they are
  std::vector<Stranger> strangers;
  std::vector<Renamed> renamed; // of those that rules read
  bool any_ledger = true;       // is anything of Gallery's recorded at all?
};

/// Sorts what is called as Gallery's objects are. Gallery's is what a recorded migration made and no later recorded one
/// removed, if its shape is right:
/// - a table has no column that Gallery does not make and none of another type; columns, keys, indexes and triggers may
/// be
///   missing, but of what the recorded migrations made at least a quarter is there (or no column at all: then nothing
///   can be lost). Of a table that rules read, no column may be missing.
/// - a column has its type; a key its columns and the table it refers to; an index its columns; a trigger its function;
/// a
///   function its result and language.
/// What no listing of a running Gallery has shown (branches) goes by name, kind and owner.
/// `is_read` says what rules read. Asks the catalog only.
Evidence find_objects(const backend::Spi &spi, const Survey &survey, const Identity &identity,
                      bool (*is_read)(const manifest::GalleryObject &));

} // namespace gallery
