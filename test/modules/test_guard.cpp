// SQL functions for sql/guard.sql: they raise server errors and C++ exceptions across C++ frames that hold objects, so
// that the test can see that destructors ran and that nothing of an error was lost.
#include "backend/compat.hpp"
#include "backend/guard.hpp"

#include <memory>
#include <new>
#include <stdexcept>

namespace {

int alive = 0;
int destroyed = 0;

/// Counts its own lives, and holds memory of the heap as real objects do.
class Witness {
public:
  Witness() : memory_(std::make_unique<std::string>(1000, 'x')) { ++alive; }
  ~Witness() {
    --alive;
    ++destroyed;
  }
  Witness(const Witness &) = delete;
  Witness &operator=(const Witness &) = delete;

private:
  std::unique_ptr<std::string> memory_;
};

/// Depth frames, each with an object, and an error below them all.
void raise_below(int depth, const std::string &kind) {
  Witness const witness;
  if (depth > 0)
    return raise_below(depth - 1, kind);
  if (kind == "server")
    backend::guard([]() noexcept {
      ereport(ERROR, (errcode(ERRCODE_DIVISION_BY_ZERO), errmsg("server error"), errdetail("its detail"),
                      errhint("its hint"), errcontext("its context")));
    });
  if (kind == "refusal")
    throw backend::Refusal(ERRCODE_OBJECT_IN_USE, "refusal", "its detail", "its hint");
  if (kind == "memory")
    throw std::bad_alloc();
  if (kind == "runtime")
    throw std::runtime_error("what it says");
  if (kind == "strange")
    throw 42;
}

} // namespace

extern "C" {
COMPAT_MODULE_MAGIC("test_guard");

PG_FUNCTION_INFO_V1(test_raise);
PG_FUNCTION_INFO_V1(test_witnesses);
PG_FUNCTION_INFO_V1(test_context);

Datum test_raise(PG_FUNCTION_ARGS) {
  return backend::wall(fcinfo, [](FunctionCallInfo call) {
    char *const kind = backend::guard([=]() noexcept { return text_to_cstring(DatumGetTextPP(call->args[0].value)); });
    raise_below(10, kind);
    return Datum(0);
  });
}

// Is the memory context the same after a guarded call that has changed it, without and with an error?
Datum test_context(PG_FUNCTION_ARGS) {
  return backend::wall(fcinfo, [](FunctionCallInfo) {
    MemoryContext const before = CurrentMemoryContext;
    backend::guard([]() noexcept { MemoryContextSwitchTo(TopMemoryContext); });
    bool const kept = CurrentMemoryContext == before;
    MemoryContextSwitchTo(before);
    auto raise = [](void *) {
      MemoryContextSwitchTo(TopMemoryContext);
      ereport(ERROR, (errmsg("server error")));
    };
    ErrorData *const error = backend::run_guarded(raise, nullptr);
    return BoolGetDatum(kept && CurrentMemoryContext == before && GetMemoryChunkContext(error) == before);
  });
}

Datum test_witnesses(PG_FUNCTION_ARGS) {
  return backend::wall(fcinfo, [](FunctionCallInfo) {
    std::string const report = "alive " + std::to_string(alive) + ", destroyed " + std::to_string(destroyed);
    return backend::guard([&]() noexcept { return PointerGetDatum(cstring_to_text(report.c_str())); });
  });
}
}
