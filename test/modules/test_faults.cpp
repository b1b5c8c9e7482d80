// SQL functions for test/t/051_faults.pl: something goes wrong at the n-th point of a statement. Points are where the
// server calls hooks below the statement: before and after each statement of a function, at each object that is dropped
// or altered, at the statement's end and before the commit. Of the product nothing is changed for it.
#include "backend/compat.hpp"

#include <csignal>
#include <dlfcn.h>
#include <unistd.h>

extern "C" {
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "executor/executor.h"
#include "storage/proc.h"
#include "tcop/utility.h"
}

namespace {

int depth = 0;       // of running executors and utilities
bool armed = false;  // the next statement counts
bool active = false; // a statement counts, or has counted and is not committed yet
int points = 0;      // passed by it
int fault_at = 0;
std::array<char, 16> action{};
long allocation_at = 0; // for the next statement: which allocation fails, or -1 to count
long allocated = 0;     // by the last statement that counted

ExecutorStart_hook_type next_start = nullptr;
ExecutorRun_hook_type next_run = nullptr;
ExecutorFinish_hook_type next_finish = nullptr;
ProcessUtility_hook_type next_utility = nullptr;
object_access_hook_type next_access = nullptr;

bool is(const char *name) {
  return std::strcmp(action.data(), name) == 0;
}

/// The counter of test_preload.so: counts down from -1, and from a positive number to the allocation that fails.
long *allocations() {
  return static_cast<long *>(dlsym(RTLD_DEFAULT, "test_preload_allocations"));
}

void fail() {
  fault_at = 0;
  if (is("error"))
    ereport(ERROR, (errcode(ERRCODE_IO_ERROR), errmsg("injected fault")));
  if (is("memory"))
    ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
  if (is("cancel"))
    kill(MyProcPid, SIGINT);
  if (is("terminate"))
    kill(MyProcPid, SIGTERM);
  if (is("kill"))
    kill(MyProcPid, SIGKILL);
  if (is("stop")) {
    kill(PostmasterPid, SIGQUIT);
    sleep(30); // the end comes by signal
  }
  if (is("wait"))
    for (int i = 0; i < 200; ++i)
      pg_usleep(10000);
}

void point(const char *what, const char *text) {
  if (!active)
    return;
  ++points;
  if (is("show"))
    ereport(NOTICE, (errmsg_internal("point %d, depth %d, %s: %.70s", points, depth, what, text)));
  if (points == fault_at)
    fail();
}

// The server calls these; they hold nothing with a destructor.

void on_start(QueryDesc *query, int flags) {
  if (depth > 0)
    point("before", query->sourceText);
  if (next_start != nullptr)
    next_start(query, flags);
  else
    standard_ExecutorStart(query, flags);
}

/// Runs with one more level; allocations count only inside the outermost.
template <typename Body>
void deeper(Body body) {
  long *const counter = allocations();
  if (++depth == 1 && counter != nullptr)
    *counter = std::exchange(allocation_at, 0);
  PG_TRY();
  { body(); }
  PG_FINALLY();
  {
    if (--depth == 0 && counter != nullptr)
      allocated = -1 - std::exchange(*counter, 0);
  }
  PG_END_TRY();
}

void start_counting() {
  if (depth > 0 || !armed)
    return;
  armed = false;
  active = true;
  points = 0;
}

#if PG_VERSION_NUM >= 180000
void on_run(QueryDesc *query, ScanDirection direction, uint64 count) {
  start_counting();
  deeper(
      [&] { next_run != nullptr ? next_run(query, direction, count) : standard_ExecutorRun(query, direction, count); });
#else
void on_run(QueryDesc *query, ScanDirection direction, uint64 count, bool once) {
  start_counting();
  deeper([&] {
    next_run != nullptr ? next_run(query, direction, count, once) : standard_ExecutorRun(query, direction, count, once);
  });
#endif
  if (depth == 0)
    point("end", query->sourceText);
}

void on_finish(QueryDesc *query) {
  auto run = [&] { next_finish != nullptr ? next_finish(query) : standard_ExecutorFinish(query); };
  if (depth == 0)
    return run();
  deeper(run);
  point("after", query->sourceText);
}

void on_utility(PlannedStmt *statement, const char *text, bool read_only, ProcessUtilityContext context,
                ParamListInfo parameters, QueryEnvironment *environment, DestReceiver *receiver,
                QueryCompletion *completion) {
  bool const inside = depth > 0;
  if (inside)
    point("before", text);
  auto run = [&] {
    auto *const next = next_utility != nullptr ? next_utility : standard_ProcessUtility;
    next(statement, text, read_only, context, parameters, environment, receiver, completion);
  };
  if (!inside)
    return run();
  deeper(run);
  point("after", text);
}

void on_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *argument) {
  if (next_access != nullptr)
    next_access(access, class_id, object_id, sub_id, argument);
  if (depth > 0 && (access == OAT_DROP || access == OAT_POST_ALTER || access == OAT_POST_CREATE))
    point("inside", access == OAT_DROP ? "drop" : access == OAT_POST_ALTER ? "alter" : "create");
}

void on_transaction(XactEvent event, void *) {
  if (event == XACT_EVENT_PRE_COMMIT)
    point("commit", "");
  if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
    active = false;
}

} // namespace

extern "C" {
COMPAT_MODULE_MAGIC("test_faults");

PGDLLEXPORT void _PG_init(void); // NOLINT(bugprone-reserved-identifier): the server's name

void _PG_init(void) {
  next_start = std::exchange(ExecutorStart_hook, on_start);
  next_run = std::exchange(ExecutorRun_hook, on_run);
  next_finish = std::exchange(ExecutorFinish_hook, on_finish);
  next_utility = std::exchange(ProcessUtility_hook, on_utility);
  next_access = std::exchange(object_access_hook, on_access);
  RegisterXactCallback(on_transaction, nullptr);
}

PG_FUNCTION_INFO_V1(test_fault);
PG_FUNCTION_INFO_V1(test_points);
PG_FUNCTION_INFO_V1(test_allocations);

/// test_fault(action text, at int): what happens at that point of the next statement; 'count' just counts.
Datum test_fault(PG_FUNCTION_ARGS) {
  char *const name = text_to_cstring(PG_GETARG_TEXT_PP(0));
  strlcpy(action.data(), name, action.size());
  fault_at = PG_GETARG_INT32(1);
  armed = true;
  active = false;
  PG_RETURN_VOID();
}

/// test_points(): how many were passed.
Datum test_points(PG_FUNCTION_ARGS) {
  (void)fcinfo; // has no arguments
  active = false;
  PG_RETURN_INT32(points);
}

/// test_allocations(at int): the allocation of the next statement that fails, or -1 to count them. Returns the last
/// count.
Datum test_allocations(PG_FUNCTION_ARGS) {
  if (allocations() == nullptr)
    elog(ERROR, "test_preload.so is not loaded");
  allocation_at = PG_GETARG_INT32(0);
  PG_RETURN_INT64(allocated);
}
}
