// What must hold for any text at all.
#include "targets.hpp"

#include "database/definition.hpp"
#include "database/ledger.hpp"
#include "database/version.hpp"
#include "manifest/manifest.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <map>
#include <stdexcept>

namespace fuzz {

namespace {

void require(bool holds, const char *what) {
  if (!holds)
    throw std::logic_error(what);
}

/// The text up to the separator, which is consumed with it.
std::string_view take_until(std::string_view &text, char separator) {
  auto const part = text.substr(0, text.find(separator));
  text.remove_prefix(std::min(text.size(), part.size() + 1));
  return part;
}

std::string print_timestamp(std::int64_t milliseconds) {
  using namespace std::chrono;
  sys_time<std::chrono::milliseconds> const time{std::chrono::milliseconds(milliseconds)};
  auto const day = floor<days>(time);
  year_month_day const date(day);
  hh_mm_ss const clock(time - day);
  std::array<char, 64> text{};
  int const length =
      std::snprintf(text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
                    static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                    static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                    static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return {text.data(), static_cast<std::size_t>(length)};
}

/// Rows of the text's lines, "name=timestamp"; no name twice, as the ledger's key has it.
std::vector<gallery::LedgerRow> rows_of(std::string_view text) {
  std::map<std::string, std::string> rows;
  while (!text.empty()) {
    auto line = take_until(text, '\n');
    auto const key = take_until(line, '=');
    rows.emplace(key, line);
  }
  std::vector<gallery::LedgerRow> result;
  for (const auto &[key, value] : rows)
    result.push_back({key, value});
  return result;
}

/// The most rows, given by name, that can stay as they are: tries every subset.
std::size_t most_kept(const std::vector<gallery::LedgerRow> &rows) {
  std::size_t best = 0;
  for (unsigned subset = 0; subset < 1U << rows.size(); ++subset) {
    const gallery::LedgerRow *before = nullptr;
    std::size_t kept = 0;
    bool in_order = true;
    for (std::size_t i = 0; i < rows.size() && in_order; ++i) {
      if ((subset >> i & 1U) == 0)
        continue;
      auto const time = gallery::parse_timestamp(rows[i].timestamp);
      in_order = time && (before == nullptr || before->timestamp == rows[i].timestamp ||
                          gallery::parse_timestamp(before->timestamp) < time);
      before = &rows[i];
      ++kept;
    }
    if (in_order)
      best = std::max(best, kept);
  }
  return best;
}

} // namespace

/// Up to three lines, compared with each other.
void version(std::string_view text) {
  std::vector<gallery::Version> versions;
  while (!text.empty() && versions.size() < 3) {
    auto const parsed = gallery::parse_version(take_until(text, '\n'));
    if (!parsed)
      continue;
    require(gallery::parse_version(parsed->tag()) == parsed, "a version reads as it was written");
    versions.push_back(*parsed);
  }
  for (const auto &a : versions)
    for (const auto &b : versions) {
      require((a == b) == ((a <=> b) == 0), "equal and neither before nor after are the same");
      require((a < b) == (b > a), "one before the other is the other after the one");
      require(a.same_line(b) == b.same_line(a), "a line is the same from both sides");
      for (const auto &c : versions)
        require(!(a < b && b < c) || a < c, "before is transitive");
    }
}

void timestamp(std::string_view text) {
  auto const time = gallery::parse_timestamp(text);
  if (!time)
    return;
  // A zone can lead out of the years that have four digits.
  constexpr std::int64_t first = -62167219200000; // 0000-01-01
  constexpr std::int64_t after = 253402300800000; // 10000-01-01
  constexpr std::int64_t day = 86400000;
  require(*time > first - day && *time < after + day, "four digits of a year and a day");
  if (*time >= first && *time < after)
    require(gallery::parse_timestamp(print_timestamp(*time)) == time, "a timestamp reads as it was written");
}

void ledger(std::string_view text) {
  auto const rows = rows_of(text);
  std::vector<std::string> names;
  names.reserve(rows.size());
  for (const auto &row : rows)
    names.push_back(row.name);

  auto executed = gallery::executed_order(rows);
  auto const in_order = gallery::in_name_order(rows);
  require(!in_order || executed == names, "in order is the order of the names");
  std::sort(executed.begin(), executed.end());
  require(executed == names, "no row is lost or made");

  auto repaired = rows;
  auto const changes = gallery::repair_order(rows);
  require(in_order == changes.empty(), "what is in order needs no repair");
  for (const auto &change : changes) {
    auto row = std::find_if(repaired.begin(), repaired.end(), [&](const auto &r) { return r.name == change.name; });
    require(row != repaired.end() && row->timestamp == change.from, "a change is of a row as it is");
    row->timestamp = change.to;
  }
  require(gallery::in_name_order(repaired), "a repaired ledger is in order");
  require(gallery::executed_order(repaired) == names, "and runs in the order of the names");
  if (rows.size() <= 8)
    require(rows.size() - changes.size() == most_kept(rows), "no repair is smaller");
}

void name(std::string_view text) {
  auto const immich = manifest::immich_migrations();
  auto const position = manifest::find_immich_migration(text);
  auto const linear = std::find(immich.begin(), immich.end(), text);
  require(position == (linear == immich.end() ? -1 : static_cast<int>(linear - immich.begin())), "Immich's are found");
  const auto *gallery = manifest::find_gallery_migration(text);
  const auto *renamed = manifest::find_renamed_migration(text);
  auto is_named = [&](const auto &fact) { return fact.name == text; };
  auto const all = manifest::gallery_migrations();
  auto const old = manifest::renamed_migrations();
  require((gallery != nullptr) == std::any_of(all.begin(), all.end(), is_named), "Gallery's are found");
  require((renamed != nullptr) == std::any_of(old.begin(), old.end(), is_named), "renamed ones are found");
  require((position >= 0) + (gallery != nullptr) + (renamed != nullptr) <= 1, "a name is one thing only");
  for (auto kind : {manifest::Kind::Function, manifest::Kind::Index, manifest::Kind::Trigger}) {
    auto const row = manifest::override_name(kind, text);
    auto const prefix = std::string(manifest::name_of(kind)) + '_';
    require(row.starts_with(prefix) && text.starts_with(std::string_view(row).substr(prefix.size())) &&
                row.find('(') == std::string::npos,
            "an override is named after the kind and the name without arguments");
  }
}

void definition(std::string_view text) {
  auto const plain = gallery::without_double_parentheses(text);
  require(gallery::without_double_parentheses(plain) == plain, "what is plain stays");
  auto left = std::count(text.begin(), text.end(), '(') - std::count(plain.begin(), plain.end(), '(');
  auto right = std::count(text.begin(), text.end(), ')') - std::count(plain.begin(), plain.end(), ')');
  require(left == right, "parentheses go in pairs");
  require(text.size() == plain.size() + static_cast<std::size_t>(left + right), "and nothing else goes");
}

} // namespace fuzz
