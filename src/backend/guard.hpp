// The border between C++ and the server. The server raises errors with longjmp, which skips destructors; C++ must not
// let an exception out into the server. So: a server call that can raise goes through guard(), which turns the error
// into a C++ exception with the whole ErrorData; and every SQL-callable function goes through wall(), which turns any
// exception back into the server's error, as its last act.
//
// wrong: std::string name = get_rel_name(oid);                  // a longjmp leaks every string of this frame
// wrong: guard([&] { return std::string(get_rel_name(oid)); });  // neither noexcept nor trivial: does not compile
// wrong: try { guard(...); } catch (const ServerError &) {}      // the transaction is lost, and nobody is told
// right: char *copy = guard([=]() noexcept { return get_rel_name(oid); });  // plain values in and out
// right: std::string name = copy == nullptr ? "" : copy;         // C++ again, outside of the guard
// right: guard([=]() noexcept { pfree(copy); });                 // or leave it to the memory context
#pragma once

#include "backend/postgres.hpp"

namespace backend {

/// An error that the server raised, caught by guard(). `data` lives in the memory context that was current at guard().
struct ServerError final : std::exception {
  explicit ServerError(ErrorData *data) : data(data) {}
  [[nodiscard]] const char *what() const noexcept override { return data->message != nullptr ? data->message : ""; }
  ErrorData *data;
};

/// A refusal of our own: becomes an ERROR with this SQLSTATE, message, detail and hint.
struct Refusal final : std::exception {
  Refusal(int sqlstate, std::string message, std::string detail = {}, std::string hint = {})
      : sqlstate(sqlstate), message(std::move(message)), detail(std::move(detail)), hint(std::move(hint)) {}
  [[nodiscard]] const char *what() const noexcept override { return message.c_str(); }
  int sqlstate;
  std::string message;
  std::string detail;
  std::string hint;
};

/// Runs thunk(arg) and returns null, or a copy of the error it raised, with the error state flushed. Either way the
/// caller's memory context is current again. The caller must raise the error again in the end: without a subtransaction
/// the transaction is lost.
ErrorData *run_guarded(void (*thunk)(void *), void *arg);

/// Calls `body`, which may call the server; throws ServerError if the server raised an error. The body must be
/// noexcept, hold nothing with a destructor, and return something trivially copyable (or nothing): a longjmp may skip
/// its frame.
template <typename Body>
auto guard(Body body) -> std::invoke_result_t<Body &> {
  using Result = std::invoke_result_t<Body &>;
  static_assert(std::is_nothrow_invocable_v<Body &>, "a guarded body is noexcept");
  static_assert(std::is_trivially_destructible_v<Body>, "a guarded body captures references and plain values only");
  if constexpr (std::is_void_v<Result>) {
    if (ErrorData *error = run_guarded([](void *arg) { (*static_cast<Body *>(arg))(); }, &body))
      throw ServerError(error);
  } else {
    static_assert(std::is_trivially_copyable_v<Result>, "a guarded body returns plain values only");
    struct Call {
      Body *body;
      Result result;
    } call{&body, {}};
    auto thunk = [](void *arg) {
      auto *self = static_cast<Call *>(arg);
      self->result = (*self->body)();
    };
    if (ErrorData *error = run_guarded(thunk, &call))
      throw ServerError(error);
    return call.result;
  }
}

/// What helps against an error 53200, which stands for two things that can run out, or against 42501 that says not
/// what to do; otherwise the error's own hint or null. To be called where an error may be raised.
char *cure_of(const ErrorData &error);

/// Runs the body of a SQL-callable function. Never lets a C++ exception out: it becomes an ERROR (ServerError with all
/// of its fields, Refusal with its SQLSTATE, memory exhaustion 53200, anything else XX000). An error 53200 gets the
/// hint that cures it.
Datum wall(FunctionCallInfo fcinfo, Datum (*body)(FunctionCallInfo));

/// Reports `message` to the client at `level` (NOTICE or WARNING), with detail and hint where not empty.
void report(int level, const std::string &message, const std::string &detail = {}, const std::string &hint = {});

/// Lets a cancel or terminate request through.
void check_for_interrupts();

} // namespace backend
