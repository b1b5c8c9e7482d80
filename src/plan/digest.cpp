// The server's own SHA-256, shortened to what can be read and compared by eye.
#include "plan/digest.hpp"

namespace gallery {

void add_digests(const backend::Spi &spi, std::vector<Step> &steps) {
  std::vector<std::string> texts;
  texts.reserve(steps.size());
  for (const auto &step : steps) // no phase and no kind has a line break
    texts.push_back(step.phase + '\n' + step.kind + '\n' + (step.essence.empty() ? step.statement : step.essence));
  std::size_t next = 0;
  // In the database's own encoding, which needs no conversion and so cannot fail at any text.
  for (auto &row : spi.query("SELECT left(encode(sha256(string_agg(sha256(convert_to(s.text, getdatabaseencoding())),"
                             " ''::bytea) OVER (ORDER BY s.number)), 'hex'), 12) FROM unnest(" +
                             backend::array_literal(texts) + ") WITH ORDINALITY s(text, number) ORDER BY s.number"))
    steps[next++].digest = row[0].value_or("");
}

} // namespace gallery
