// Versions: reading, writing, order.
#include "database/version.hpp"

#include <gtest/gtest.h>

using gallery::parse_version;

TEST(Version, reads_what_immich_and_gallery_write) {
  EXPECT_EQ(parse_version("2.7.5")->tag(), "v2.7.5");
  EXPECT_EQ(parse_version("v2.7.5")->tag(), "v2.7.5");
  EXPECT_EQ(parse_version("5.2.0-rc.0")->tag(), "v5.2.0-rc.0");
  EXPECT_EQ(parse_version("v1.132.0")->minor, 132);
}

TEST(Version, refuses_everything_else) {
  for (const char *text :
       {"",        "v",       "2",           "2.7",         "2.7.",      "2.7.5.",   "2.7.5-",          "2.7.5-rc 1",
        "vv2.7.5", "release", "latest",      "-2.7.5",      "2.-7.5",    "2.7.x",    "99999999999.0.0", " 2.7.5",
        "2.7.5 ",  "2,7,5",   "2.7.5+build", "3.0.0-rc..1", "3.0.0-rc.", "3.0.0-.1", "3.0.0-rc.01"})
    EXPECT_FALSE(parse_version(text)) << text;
}

TEST(Version, sorts_by_number_and_candidates_first) {
  EXPECT_LT(*parse_version("2.9.0"), *parse_version("2.10.0"));
  EXPECT_LT(*parse_version("3.0.0-rc.1"), *parse_version("3.0.0"));
  EXPECT_LT(*parse_version("3.0.0-rc.2"), *parse_version("3.0.0-rc.10"));
  EXPECT_LT(*parse_version("3.0.0-rc"), *parse_version("3.0.0-rc.1"));
  EXPECT_LT(*parse_version("3.0.0-rc.9"), *parse_version("3.0.0-rc.99999999999"));
  // Numbers before words: otherwise 9 < 10 < 1a < 9.
  EXPECT_LT(*parse_version("3.0.0-10"), *parse_version("3.0.0-1a"));
  EXPECT_LT(*parse_version("3.0.0-9"), *parse_version("3.0.0-1a"));
  EXPECT_LT(*parse_version("2.7.5"), *parse_version("3.0.0-rc.0"));
  EXPECT_EQ(*parse_version("v2.7.5"), *parse_version("2.7.5"));
  EXPECT_TRUE(parse_version("2.7.0")->same_line(*parse_version("2.7.5")));
  EXPECT_FALSE(parse_version("2.7.0")->same_line(*parse_version("2.8.0")));
}
