// The ledger of applied migrations as Immich's migrator reads it: which order its rows are in, and the smallest repair
// of a wrong one. Plain text work, nothing of the server.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gallery {

struct LedgerRow {
  std::string name;
  std::string timestamp; // as stored: an ISO 8601 text, e.g. 2026-04-14T08:11:02.123Z
};

struct TimestampChange {
  std::string name;
  std::string from;
  std::string to;
};

/// Milliseconds since 1970 of an ISO 8601 timestamp with a zone (Z or an offset); nothing where it is not one.
std::optional<std::int64_t> parse_timestamp(std::string_view text);

/// The rows' names in the order in which the migrator takes them to have run: by timestamp, ties by name. Rows whose
/// timestamp cannot be read come last.
std::vector<std::string> executed_order(std::vector<LedgerRow> rows);

/// True where executed_order() is the order of the names, which is all that the migrator accepts.
bool in_name_order(const std::vector<LedgerRow> &rows);

/// The fewest changes of timestamps after which in_name_order() holds. A changed row gets the timestamp of the
/// unchanged row named last before it (of the first unchanged one, where there is none before it). Sorted by name.
std::vector<TimestampChange> repair_order(std::vector<LedgerRow> rows);

} // namespace gallery
