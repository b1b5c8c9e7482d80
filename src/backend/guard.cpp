// Implementation of the border between C++ and the server: the one PG_TRY of this module and the one wall.
#include "backend/guard.hpp"

#include <new>

extern "C" {
#include "lib/stringinfo.h"
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

char *copy_text(const std::string &text) {
  return text.empty() ? nullptr : pnstrdup(text.data(), text.size());
}

/// The server's form of a failure, or, if there is no memory for it, of the error that says so.
ErrorData *to_error_data(const Failure &failure) {
  ErrorData *result = nullptr;
  auto build = [&failure, &result]() noexcept {
    auto *data = static_cast<ErrorData *>(palloc0(sizeof(ErrorData)));
    data->elevel = ERROR;
    data->sqlerrcode = failure.sqlstate;
    data->message = failure.message.empty() ? pstrdup("unexpected C++ exception") : copy_text(failure.message);
    data->detail = copy_text(failure.detail);
    data->hint = copy_text(failure.hint);
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

Datum wall(FunctionCallInfo fcinfo, Datum (*body)(FunctionCallInfo)) {
  Datum result = 0;
  bool ours = false;
  ErrorData *const error = run_body(fcinfo, body, &result, &ours);
  if (error == nullptr)
    return result;
  if (ours)
    ThrowErrorData(error); // adds the calling context, as ereport would
  ReThrowError(error);     // already has it
}

void report(int level, const std::string &message, const std::string &detail, const std::string &hint) {
  guard([&]() noexcept {
    ereport(level,
            (errmsg_internal("%s", message.c_str()), detail.empty() ? 0 : errdetail_internal("%s", detail.c_str()),
             hint.empty() ? 0 : errhint("%s", hint.c_str())));
  });
}

void check_for_interrupts() {
  guard([]() noexcept { CHECK_FOR_INTERRUPTS(); });
}

} // namespace backend
