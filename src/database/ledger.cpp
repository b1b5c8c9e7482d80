// Order of ledger rows: reading timestamps, and the longest run of rows that may stay as they are.
#include "database/ledger.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <tuple>

namespace gallery {

namespace {

/// Reads exactly `digits` decimal digits from the front of `text`.
std::optional<int> take_digits(std::string_view &text, std::size_t digits) {
  if (text.size() < digits)
    return std::nullopt;
  int value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9')
      return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take(std::string_view &text, char c) {
  if (text.empty() || text.front() != c)
    return false;
  text.remove_prefix(1);
  return true;
}

/// Milliseconds of an optional fraction of a second; further digits are dropped, as the migrator's own parser does.
std::optional<int> take_fraction(std::string_view &text) {
  if (!take(text, '.'))
    return 0;
  int milliseconds = 0;
  int digits = 0;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    if (digits < 3)
      milliseconds = milliseconds * 10 + (text.front() - '0');
    ++digits;
    text.remove_prefix(1);
  }
  if (digits == 0)
    return std::nullopt;
  for (; digits < 3; ++digits)
    milliseconds *= 10;
  return milliseconds;
}

/// Minutes east of UTC: Z, +02:00, +0200 or +02, to the end of the text.
std::optional<int> take_zone(std::string_view &text) {
  if (text == "Z")
    return 0;
  int const sign = take(text, '+') ? 1 : take(text, '-') ? -1 : 0;
  auto hours = sign == 0 ? std::nullopt : take_digits(text, 2);
  if (!hours || *hours > 23)
    return std::nullopt;
  if (text.empty())
    return sign * *hours * 60;
  take(text, ':');
  auto minutes = take_digits(text, 2);
  if (!minutes || *minutes > 59 || !text.empty())
    return std::nullopt;
  return sign * (*hours * 60 + *minutes);
}

struct Parsed {
  LedgerRow row;
  std::int64_t time; // unreadable ones sort last
  bool readable;
};

std::vector<Parsed> parse_all(std::vector<LedgerRow> rows) {
  std::vector<Parsed> parsed;
  parsed.reserve(rows.size());
  for (auto &row : rows) {
    auto time = parse_timestamp(row.timestamp);
    parsed.push_back({std::move(row), time.value_or(std::numeric_limits<std::int64_t>::max()), time.has_value()});
  }
  return parsed;
}

/// May `b` follow `a` (named before it)? Where two texts mean the same instant but differ, the migrator leaves their
/// order to chance, so that is no.
bool may_follow(const Parsed &a, const Parsed &b) {
  return a.time < b.time || a.row.timestamp == b.row.timestamp;
}

/// Marks the longest run of readable rows (given in name order) in which each may follow the one before; of equally
/// long ones, one that ends earliest. A ledger has few rows, so every pair is looked at.
std::vector<bool> longest_ordered_run(const std::vector<Parsed> &rows) {
  auto const none = rows.size();
  std::vector<std::size_t> length(rows.size(), 0); // of the best run that ends with a row
  std::vector<std::size_t> previous(rows.size(), none);
  auto is_better = [&](std::size_t row, std::size_t best) {
    return best == none || length[row] > length[best] ||
           (length[row] == length[best] && rows[row].time <= rows[best].time);
  };
  std::size_t last = none;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!rows[i].readable)
      continue;
    for (std::size_t j = 0; j < i; ++j)
      if (rows[j].readable && may_follow(rows[j], rows[i]) && is_better(j, previous[i]))
        previous[i] = j;
    length[i] = previous[i] == none ? 1 : length[previous[i]] + 1;
    if (is_better(i, last))
      last = i;
  }
  std::vector<bool> kept(rows.size(), false);
  for (auto i = last; i != none; i = previous[i])
    kept[i] = true;
  return kept;
}

} // namespace

std::optional<std::int64_t> parse_timestamp(std::string_view text) {
  using namespace std::chrono;
  auto year = take_digits(text, 4);
  if (!year || !take(text, '-'))
    return std::nullopt;
  auto month = take_digits(text, 2);
  if (!month || !take(text, '-'))
    return std::nullopt;
  auto day = take_digits(text, 2);
  if (!day || (!take(text, 'T') && !take(text, ' ')))
    return std::nullopt;
  auto hour = take_digits(text, 2);
  if (!hour || !take(text, ':'))
    return std::nullopt;
  auto minute = take_digits(text, 2);
  if (!minute || !take(text, ':'))
    return std::nullopt;
  auto second = take_digits(text, 2);
  if (!second)
    return std::nullopt;
  auto fraction = take_fraction(text);
  if (!fraction)
    return std::nullopt;
  auto zone = take_zone(text);
  auto const date = std::chrono::year(*year) / *month / *day;
  if (!zone || !date.ok() || *hour > 23 || *minute > 59 || *second > 59)
    return std::nullopt;
  auto const time =
      sys_days(date) + hours(*hour) + minutes(*minute - *zone) + seconds(*second) + milliseconds(*fraction);
  return time.time_since_epoch().count();
}

std::vector<std::string> executed_order(std::vector<LedgerRow> rows) {
  auto parsed = parse_all(std::move(rows));
  // The same instant in two texts: the migrator leaves that order to chance, but a sort needs one.
  std::sort(parsed.begin(), parsed.end(), [](const Parsed &a, const Parsed &b) {
    return std::tie(a.time, a.row.timestamp, a.row.name) < std::tie(b.time, b.row.timestamp, b.row.name);
  });
  std::vector<std::string> names;
  names.reserve(parsed.size());
  for (auto &row : parsed)
    names.push_back(std::move(row.row.name));
  return names;
}

bool in_name_order(const std::vector<LedgerRow> &rows) {
  return repair_order(rows).empty();
}

std::vector<TimestampChange> repair_order(std::vector<LedgerRow> rows) {
  std::sort(rows.begin(), rows.end(), [](const auto &a, const auto &b) { return a.name < b.name; });
  auto parsed = parse_all(std::move(rows));
  auto const kept = longest_ordered_run(parsed);
  auto const first = std::find(kept.begin(), kept.end(), true);
  std::string current = first == kept.end() ? "1970-01-01T00:00:00.000Z"
                                            : parsed[static_cast<std::size_t>(first - kept.begin())].row.timestamp;
  std::vector<TimestampChange> changes;
  for (std::size_t i = 0; i < parsed.size(); ++i) {
    if (kept[i])
      current = parsed[i].row.timestamp;
    else
      changes.push_back({parsed[i].row.name, parsed[i].row.timestamp, current});
  }
  return changes;
}

} // namespace gallery
