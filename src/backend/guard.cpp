// Implementation of the border between C++ and the server: the one PG_TRY of this module and the one wall.
#include "backend/guard.hpp"

#include <algorithm>
#include <new>

extern "C" {
#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "storage/lock.h"
}

namespace backend {

ErrorData *run_guarded(void (*thunk)(void *), void *arg) {
  MemoryContext const caller = CurrentMemoryContext;
  ErrorData *volatile error = nullptr;

  // No return from inside: it would leave the server's exception stack pointing into a dead frame.
  PG_TRY();
  { thunk(arg); }
  PG_CATCH();
  {
    // Should copying run out of memory itself, the error goes straight to the caller's handler: C++ frames in between
    // then leak their memory, nothing else.
    MemoryContextSwitchTo(caller);
    error = CopyErrorData();
    FlushErrorState();
  }
  PG_END_TRY();
  // SPI leaves its own context current. The copy of a later error would be in there, and gone with the connection.
  MemoryContextSwitchTo(caller);
  return error;
}

namespace {

/// What wall() keeps of an exception of ours until all handlers are left. Making one allocates nothing.
struct Failure {
  int sqlstate = ERRCODE_INTERNAL_ERROR;
  std::string message;
  std::string detail;
  std::string hint;
};

/// A copy of a text for a message, or null if empty. A character that the client's encoding does not have would make
/// sending the message an error of its own, which hides it and undoes the transaction: in a text that has one, every
/// byte beyond ASCII becomes \xNN. To be called under run_guarded().
char *message_text(const std::string &text) {
  if (text.empty())
    return nullptr;
  char *const copy = pnstrdup(text.data(), text.size());
  // psql prints messages as they are: a name may not steer the terminal.
  std::replace_if(
      copy, copy + strlen(copy), [](unsigned char c) { return (c < ' ' && c != '\n' && c != '\t') || c == 0x7f; }, '?');
  auto const length = static_cast<int>(text.size());
  int const server = GetDatabaseEncoding();
  int const client = pg_get_client_encoding();
  if (client == server || client == PG_SQL_ASCII || server == PG_SQL_ASCII ||
      std::none_of(copy, copy + length, [](char c) { return IS_HIGHBIT_SET(c); }))
    return copy;
  if (Oid const conversion = FindDefaultConversionProc(server, client); OidIsValid(conversion)) {
    auto const room = static_cast<std::size_t>(length) * MAX_CONVERSION_GROWTH + 1;
    auto *const sent = reinterpret_cast<unsigned char *>(palloc(room));
    if (pg_do_encoding_conversion_buf(conversion, server, client, reinterpret_cast<unsigned char *>(copy), length, sent,
                                      static_cast<int>(room), true) == length)
      return copy;
  }
  StringInfoData escaped;
  initStringInfo(&escaped);
  for (int i = 0; i < length; ++i)
    if (IS_HIGHBIT_SET(copy[i]))
      appendStringInfo(&escaped, "\\x%02x", static_cast<unsigned char>(copy[i]));
    else
      appendStringInfoChar(&escaped, copy[i]);
  return escaped.data;
}

/// The server's form of a failure, or, if there is no memory for it, of the error that says so.
ErrorData *to_error_data(const Failure &failure) {
  ErrorData *result = nullptr;
  auto build = [&failure, &result]() noexcept {
    auto *data = static_cast<ErrorData *>(palloc0(sizeof(ErrorData)));
    data->elevel = ERROR;
    data->sqlerrcode = failure.sqlstate;
    data->message = failure.message.empty() ? pstrdup("unexpected C++ exception") : message_text(failure.message);
    data->detail = message_text(failure.detail);
    data->hint = message_text(failure.hint);
    data->assoc_context = CurrentMemoryContext;
    result = data;
  };
  ErrorData *const error = run_guarded([](void *arg) { (*static_cast<decltype(build) *>(arg))(); }, &build);
  return error != nullptr ? error : result;
}

/// Runs the body; on an exception returns what to raise, with every C++ frame and handler left behind.
ErrorData *run_body(FunctionCallInfo fcinfo, Datum (*body)(FunctionCallInfo), Datum *result, bool *ours) {
  ErrorData *error = nullptr;
  Failure failure;
  *ours = true;
  try {
    *result = body(fcinfo);
    return nullptr;
  } catch (const ServerError &caught) {
    error = caught.data;
    *ours = false;
  } catch (Refusal &caught) {
    failure.sqlstate = caught.sqlstate;
    failure.message = std::move(caught.message);
    failure.detail = std::move(caught.detail);
    failure.hint = std::move(caught.hint);
  } catch (const std::bad_alloc &) {
    failure.sqlstate = ERRCODE_OUT_OF_MEMORY;
    failure.message = "out of memory"; // short enough to need no allocation
  } catch (const std::exception &caught) {
    try {
      failure.detail = caught.what();
    } catch (...) {
      failure.detail.clear();
    }
  } catch (...) {
    failure.detail.clear();
  }
  return error != nullptr ? error : to_error_data(failure);
}

} // namespace

char *cure_of(const ErrorData &error) {
  if (error.sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE && error.hint == nullptr)
    return pstrdup("Nothing has changed. All of this runs with the rights of the role that owns the tables, whoever "
                   "calls: as a superuser, GRANT that role what it lacks, then try again.");
  // By the text before its translation.
  constexpr const char *too_long = "canceling statement due to statement timeout";
  if (error.sqlerrcode == ERRCODE_QUERY_CANCELED && error.hint == nullptr && error.message_id != nullptr &&
      std::strcmp(error.message_id, too_long) == 0)
    return pstrdup(
        "Nothing has changed. This session ends what takes longer: SET statement_timeout = 0; then try again.");
  if (error.sqlerrcode != ERRCODE_OUT_OF_MEMORY)
    return error.hint;
  constexpr const char *lock_table = "out of shared memory";
  if (error.message_id == nullptr || std::strcmp(error.message_id, lock_table) != 0)
    return pstrdup("Nothing has changed. The server has too little memory: give it more, or stop what else runs there, "
                   "such as Immich's machine learning, and try again.");
  constexpr int enough = 256;
  return psprintf("Nothing has changed. The server's lock table is full. Run: ALTER SYSTEM SET "
                  "max_locks_per_transaction = %d; then restart PostgreSQL and try again.",
                  Max(enough, 4 * max_locks_per_xact));
}

Datum wall(FunctionCallInfo fcinfo, Datum (*body)(FunctionCallInfo)) {
  Datum result = 0;
  bool ours = false;
  ErrorData *const error = run_body(fcinfo, body, &result, &ours);
  if (error == nullptr)
    return result;
  error->hint = cure_of(*error); // should that be what has no memory any more, its error is as good
  if (ours)
    ThrowErrorData(error); // adds the calling context, as ereport would
  ReThrowError(error);     // already has it
}

void report(int level, const std::string &message, const std::string &detail, const std::string &hint) {
  guard([&]() noexcept {
    const char *const detail_text = message_text(detail);
    const char *const hint_text = message_text(hint);
    ereport(level, (errmsg_internal("%s", message_text(message)),
                    detail_text == nullptr ? 0 : errdetail_internal("%s", detail_text),
                    hint_text == nullptr ? 0 : errhint("%s", hint_text)));
  });
}

void check_for_interrupts() {
  guard([]() noexcept { CHECK_FOR_INTERRUPTS(); });
}

} // namespace backend
