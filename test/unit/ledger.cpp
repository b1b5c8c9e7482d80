// The ledger: timestamps, the migrator's order, and the smallest repair of a wrong one (checked against trying
// everything).
#include "database/ledger.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

using gallery::LedgerRow;
using gallery::parse_timestamp;
using gallery::repair_order;

namespace {

std::string stamp(int second) {
  return std::string("2026-04-14T08:11:") + static_cast<char>('0' + second / 10) +
         static_cast<char>('0' + second % 10) + ".000Z";
}

std::vector<LedgerRow> rows_at(const std::vector<int> &seconds) {
  std::vector<LedgerRow> rows;
  for (std::size_t i = 0; i < seconds.size(); ++i)
    rows.push_back({"m" + std::to_string(10 + i), stamp(seconds[i])});
  return rows;
}

std::vector<std::string> names_of(const std::vector<LedgerRow> &rows) {
  std::vector<std::string> names;
  for (const auto &row : rows)
    names.push_back(row.name);
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<LedgerRow> repaired(std::vector<LedgerRow> rows) {
  for (const auto &change : repair_order(rows))
    for (auto &row : rows)
      if (row.name == change.name)
        row.timestamp = change.to;
  return rows;
}

/// The most rows that may stay, by trying every subset.
std::size_t most_kept(const std::vector<int> &seconds) {
  std::size_t best = 0;
  for (unsigned subset = 0; subset < 1u << seconds.size(); ++subset) {
    std::vector<int> kept;
    for (std::size_t i = 0; i < seconds.size(); ++i)
      if (subset >> i & 1)
        kept.push_back(seconds[i]);
    if (std::is_sorted(kept.begin(), kept.end()))
      best = std::max(best, kept.size());
  }
  return best;
}

} // namespace

TEST(Timestamp, reads_iso_8601_with_a_zone) {
  EXPECT_EQ(parse_timestamp("1970-01-01T00:00:00.000Z"), 0);
  EXPECT_EQ(parse_timestamp("1970-01-02T00:00:01.5Z"), 86401500);
  EXPECT_EQ(parse_timestamp("2026-04-14T10:11:02.123+02:00"), parse_timestamp("2026-04-14T08:11:02.123Z"));
  EXPECT_EQ(parse_timestamp("2026-04-14 08:11:02.123456+00"), parse_timestamp("2026-04-14T08:11:02.123Z"));
  EXPECT_EQ(parse_timestamp("2024-02-29T00:00:00Z"), 1709164800000);
}

TEST(Timestamp, refuses_everything_else) {
  for (const char *text :
       {"", "now", "2026-04-14", "2026-04-14T08:11:02", "2026-13-14T08:11:02Z", "2026-02-30T08:11:02Z",
        "2026-04-14T24:00:00Z", "2026-04-14T08:60:02Z", "2026-04-14T08:11:02.Z", "2026-04-14T08:11:02Zx",
        "12026-04-14T08:11:02Z", "2026-04-14T08:11:02+24:00", "2026-04-14T08:11:02+02:60"})
    EXPECT_FALSE(parse_timestamp(text)) << text;
}

TEST(Ledger, is_in_order_when_timestamps_follow_names) {
  EXPECT_TRUE(gallery::in_name_order(rows_at({1, 2, 2, 3})));
  EXPECT_FALSE(gallery::in_name_order(rows_at({1, 3, 2})));
  EXPECT_TRUE(gallery::in_name_order({}));
}

TEST(Ledger, executed_order_is_the_migrators) {
  EXPECT_EQ(gallery::executed_order({{"b", stamp(1)}, {"a", stamp(1)}, {"c", stamp(0)}}),
            (std::vector<std::string>{"c", "a", "b"}));
}

TEST(Ledger, repair_changes_one_late_row_only) {
  auto const changes = repair_order(rows_at({1, 9, 2, 3, 4}));
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].name, "m11");
  EXPECT_EQ(changes[0].from, stamp(9));
  EXPECT_EQ(changes[0].to, stamp(1));
}

TEST(Ledger, repair_handles_unreadable_and_ambiguous_timestamps) {
  std::vector<LedgerRow> const unreadable = {{"a", stamp(1)}, {"b", "yesterday"}, {"c", stamp(2)}};
  EXPECT_FALSE(gallery::in_name_order(unreadable));
  EXPECT_TRUE(gallery::in_name_order(repaired(unreadable)));
  // The same instant written in two ways has no order for the migrator.
  std::vector<LedgerRow> const twice = {{"a", "2026-04-14T08:11:01.000Z"}, {"b", "2026-04-14T10:11:01.000+02:00"}};
  EXPECT_EQ(repair_order(twice).size(), 1u);
  EXPECT_TRUE(gallery::in_name_order(repaired(twice)));
  // The odd one of three is the one to change.
  std::vector<LedgerRow> const between = {twice[0], twice[1], {"c", twice[0].timestamp}};
  EXPECT_EQ(repair_order(between).size(), 1u);
  EXPECT_EQ(repair_order(between)[0].name, "b");
}

TEST(Ledger, repair_is_right_and_smallest_on_random_orders) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::vector<int> seconds(1 + random() % 10);
    for (auto &second : seconds)
      second = static_cast<int>(random() % 12);
    auto const rows = rows_at(seconds);
    auto const after = repaired(rows);
    ASSERT_TRUE(gallery::in_name_order(after));
    ASSERT_EQ(gallery::executed_order(after), names_of(rows));
    ASSERT_EQ(repair_order(rows).size(), seconds.size() - most_kept(seconds));
  }
}
