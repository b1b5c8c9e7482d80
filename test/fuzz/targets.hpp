// What parses text without a server, as functions that take any text and throw std::logic_error where a promise is
// broken. Run by libFuzzer (fuzz.cpp, `make fuzz`) and, on the texts that it found worth keeping, by
// test/unit/corpus.cpp.
#pragma once

#include <array>
#include <string_view>

namespace fuzz {

void version(std::string_view text);
void timestamp(std::string_view text);
void ledger(std::string_view text);
void name(std::string_view text);
void definition(std::string_view text);

struct Target {
  std::string_view name; // of its folder in corpus/ too
  void (*run)(std::string_view);
};

inline constexpr std::array targets{Target{"version", version}, Target{"timestamp", timestamp},
                                    Target{"ledger", ledger}, Target{"name", name}, Target{"definition", definition}};

} // namespace fuzz
