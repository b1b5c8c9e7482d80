// Definitions as the server prints them.
#include "database/definition.hpp"

#include <gtest/gtest.h>

using gallery::without_double_parentheses;

TEST(Definition, parentheses_around_parentheses_say_nothing) {
  EXPECT_EQ(without_double_parentheses("USING btree (((a + 1)))"), "USING btree (a + 1)");
  EXPECT_EQ(without_double_parentheses("CHECK (((a > 0) AND (b > 0)))"), "CHECK ((a > 0) AND (b > 0))");
  // PostgreSQL 14 to 16, and from 17 on.
  EXPECT_EQ(
      without_double_parentheses(
          "((date_trunc('MONTH'::text, (t AT TIME ZONE 'UTC'::text)) AT TIME ZONE 'UTC'::text))"),
      without_double_parentheses("(date_trunc('MONTH'::text, (t AT TIME ZONE 'UTC'::text)) AT TIME ZONE 'UTC'::text)"));
}

TEST(Definition, other_parentheses_stay) {
  for (const char *text : {"", "(", ")", "())", "(()", ")(", "()", "(a)(b)", "f(g(x))", "((a) AND (b))", "(a, (b))",
                           "((a), b)", "'((x))'", "\"((x))\"", "'it''s ((so))'"})
    EXPECT_EQ(without_double_parentheses(text), text);
  EXPECT_EQ(without_double_parentheses("f('((', ((a)))"), "f('((', (a))");
}

TEST(Definition, qualifiers_go_only_where_a_name_starts) {
  std::string text = "public.f(my_public.g, \"x public.y\", public.h)";
  gallery::strip_qualifier(text, "public.");
  EXPECT_EQ(text, "f(my_public.g, \"x y\", h)");
}

TEST(Definition, a_digest_is_no_part_of_the_definition) {
  EXPECT_EQ(gallery::split_digest("trigger plpgsql v body md5 abc").first, "trigger plpgsql v");
  EXPECT_EQ(gallery::split_digest("trigger plpgsql v body md5 abc").second, "abc");
  EXPECT_EQ(gallery::split_digest("uuid not null").second, "");
}
