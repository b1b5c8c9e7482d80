// Where the way back is not told by the catalog and the archive alone: tables that stay Gallery's own, rows that Immich
// knows better by now, and values that a revert set in rows that stayed.
#pragma once

#include "rules/rule.hpp"

namespace gallery {

/// The archive of a run, as the queries below see it.
struct Returning {
  const Context &db;
  int run;
  /// FROM ... WHERE ... of the archived rows d of a table: d.key, d.content.
  [[nodiscard]] std::string archived(std::string_view table) const;
};

/// Rows q of a table that are not put back though they would fit.
struct KeptOut {
  std::string_view table;
  std::string (*condition)(const Returning &archive); // true of those
  std::string_view reason;
};

/// Columns that a revert set: they get the archived value of row q again.
struct SetByRevert {
  std::string_view table;
  std::vector<std::string> columns;
  std::string wanted; // of the archived row q: is there anything to put back?
  std::string fits;   // of row t as it is now, and q: is it still as the revert left it?
  std::string back;   // is it there as it was?
  std::string value;  // where it is not the archived one
  std::string reason;
  /// Is anything in row t not as row q has it? As SQL.
  [[nodiscard]] std::string is_not_back() const;
};

/// Tables that the Gallery which has started since keeps by itself: its ledger, and what is written down of starts.
bool is_own(const Survey &survey, std::string_view table);

std::span<const KeptOut> kept_out();

std::vector<SetByRevert> set_by_revert(const Returning &archive);

} // namespace gallery
