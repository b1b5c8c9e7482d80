// Implementation of SQL from C++ on the server's SPI.
#include "backend/spi.hpp"

#include "backend/guard.hpp"
#include "backend/local_settings.hpp"

extern "C" {
#include "executor/spi.h"
}

namespace backend {

namespace {

/// Raises what SPI reports by a return code instead of an error: a statement of a kind that SPI does not run.
void expect_success(int code, const std::string &sql) {
  if (code < 0)
    throw Refusal(ERRCODE_INTERNAL_ERROR, std::string("could not run a statement: ") + SPI_result_code_string(code),
                  sql);
}

} // namespace

Spi::Spi() : uncaught_(std::uncaught_exceptions()) {
  guard([]() noexcept { SPI_connect(); });
}

Spi::~Spi() {
  // While an error passes through, the transaction's end closes the connection: the server is in no state to be called.
  if (std::uncaught_exceptions() > uncaught_)
    return;
  auto finish = []() noexcept { SPI_finish(); };
  if (ErrorData *error = run_guarded([](void *arg) { (*static_cast<decltype(finish) *>(arg))(); }, &finish))
    elog(WARNING, "could not close the SPI connection: %s", error->message);
}

std::vector<Row> Spi::query(const std::string &sql) const {
  LocalSettings const kept;
  expect_success(guard([&]() noexcept { return SPI_execute(sql.c_str(), false, 0); }), sql);
  SPITupleTable *const table = SPI_tuptable;
  std::vector<Row> rows;
  if (table == nullptr)
    return rows;
  auto const count = SPI_processed;
  rows.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    Row row;
    row.reserve(static_cast<std::size_t>(table->tupdesc->natts));
    for (int column = 1; column <= table->tupdesc->natts; ++column) {
      char *const value = guard([=]() noexcept { return SPI_getvalue(table->vals[i], table->tupdesc, column); });
      row.emplace_back(value == nullptr ? Field() : Field(value));
      if (value != nullptr)
        pfree(value); // cannot raise: SPI has just allocated it
    }
    rows.push_back(std::move(row));
  }
  guard([=]() noexcept { SPI_freetuptable(table); });
  return rows;
}

std::uint64_t Spi::execute(const std::string &sql) const {
  LocalSettings const kept;
  int const code = guard([&]() noexcept { return SPI_execute(sql.c_str(), false, 0); });
  expect_success(code, sql);
  bool const counts = code == SPI_OK_INSERT || code == SPI_OK_UPDATE || code == SPI_OK_DELETE;
  auto const processed = counts ? SPI_processed : 0;
  guard([]() noexcept { SPI_freetuptable(SPI_tuptable); });
  return processed;
}

std::string identifier(const std::string &name) {
  return guard([&]() noexcept { return quote_identifier(name.c_str()); });
}

std::string qualified(const std::string &schema, const std::string &name) {
  return identifier(schema) + '.' + identifier(name);
}

std::string literal(const std::string &text) {
  return guard([&]() noexcept { return quote_literal_cstr(text.c_str()); });
}

std::string array_literal(const std::vector<std::string> &texts) {
  std::string elements = "{";
  for (const auto &text : texts) {
    if (elements.size() > 1)
      elements += ',';
    elements += '"';
    for (char c : text) {
      if (c == '"' || c == '\\')
        elements += '\\';
      elements += c;
    }
    elements += '"';
  }
  return literal(elements + '}') + "::pg_catalog.text[]";
}

} // namespace backend
