// The parts of a script: its guards, locks and proof as SQL, with places for what differs from plan to plan.
#pragma once

#include "backend/spi.hpp"

namespace gallery {

/// What goes into a place "@name@".
using Places = std::vector<std::pair<std::string, std::string>>;

/// The text with its places filled in. What is filled in may hold anything, also what looks like a place.
std::string fill(std::string_view text, const Places &places);

namespace script_parts {

// From the top of the file to its end, in this order.
extern const char *const opening;   // settings, the transaction, may it at all
extern const char *const functions; // a list in a message; the ledger; all questions to the catalog
extern const char *const locking;   // nobody else is connected; the owner's rights; the locks
extern const char *const rows;      // begins the procedure of the steps: ledger, premises, paths, counters
extern const char *const proof;     // ends it: counters, ledger
extern const char *const closing;   // the catalog afterwards, the end

} // namespace script_parts

} // namespace gallery
