// Text handling only: no server is needed.
#include "database/definition.hpp"

#include <cctype>
#include <vector>

namespace gallery {

std::pair<std::string_view, std::string_view> split_digest(std::string_view definition) {
  constexpr std::string_view mark = " body md5 ";
  auto const at = definition.find(mark);
  if (at == std::string_view::npos)
    return {definition, {}};
  return {definition.substr(0, at), definition.substr(at + mark.size())};
}

namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

} // namespace

void strip_qualifier(std::string &text, const std::string &qualifier, const std::set<std::string> &kept) {
  for (std::size_t at = text.find(qualifier); at != std::string::npos; at = text.find(qualifier, at)) {
    char const before = at == 0 ? ' ' : text[at - 1];
    bool const starts = !is_word(before) && before != '"' && before != '.';
    auto const name = at + qualifier.size();
    auto end = name;
    while (end < text.size() && is_word(text[end]))
      ++end;
    if (starts && !kept.contains(text.substr(name, end - name)))
      text.erase(at, qualifier.size());
    else
      at += qualifier.size();
  }
}

std::string without_double_parentheses(std::string_view text) {
  std::vector<std::size_t> partner(text.size(), std::string_view::npos);
  std::vector<std::size_t> open;
  char quote = '\0';
  for (std::size_t i = 0; i < text.size(); ++i) {
    char const c = text[i];
    if (quote != '\0')
      quote = c == quote ? '\0' : quote;
    else if (c == '\'' || c == '"')
      quote = c;
    else if (c == '(')
      open.push_back(i);
    else if (c == ')' && !open.empty()) {
      partner[open.back()] = i;
      open.pop_back();
    }
  }
  std::vector<bool> dropped(text.size(), false);
  for (std::size_t i = 0; i + 1 < text.size(); ++i)
    if (partner[i] != std::string_view::npos && partner[i + 1] != std::string_view::npos &&
        partner[i + 1] + 1 == partner[i])
      dropped[i] = dropped[partner[i]] = true;
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (!dropped[i])
      result += text[i];
  return result;
}

} // namespace gallery
