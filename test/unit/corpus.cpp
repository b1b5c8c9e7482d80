// Every text of test/fuzz/corpus again: what fuzzing found worth keeping.
#include "../fuzz/targets.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

class Corpus : public testing::TestWithParam<fuzz::Target> {};

TEST_P(Corpus, keeps_the_promises) {
  int count = 0;
  for (const auto &entry : std::filesystem::directory_iterator(std::filesystem::path(CORPUS) / GetParam().name)) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::string const text{std::istreambuf_iterator<char>(file), {}};
    EXPECT_NO_THROW(GetParam().run(text)) << entry.path();
    ++count;
  }
  EXPECT_GE(count, 10);
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Corpus, testing::ValuesIn(fuzz::targets),
                         [](const auto &info) { return std::string(info.param.name); });
