// Materialised results, built the same way on every server version.
#include "backend/result_set.hpp"

#include "backend/guard.hpp"

extern "C" {
#include "access/htup_details.h"
#include "funcapi.h"
#include "nodes/execnodes.h"
#include "utils/tuplestore.h"
}

namespace backend {

ResultSet::ResultSet(FunctionCallInfo fcinfo) : store_(nullptr), columns_(nullptr) {
  auto *const info = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
  if (info == nullptr || !IsA(info, ReturnSetInfo) || (info->allowedModes & SFRM_Materialize) == 0)
    throw Refusal(ERRCODE_FEATURE_NOT_SUPPORTED, "set-valued function called in context that cannot accept a set");
  guard([&]() noexcept {
    MemoryContext const previous = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
    TupleDesc description = nullptr;
    if (get_call_result_type(fcinfo, nullptr, &description) != TYPEFUNC_COMPOSITE)
      elog(ERROR, "return type must be a row type");
    Tuplestorestate *const store = tuplestore_begin_heap(true, false, work_mem);
    columns_ = TupleDescGetAttInMetadata(description);
    store_ = store;
    info->returnMode = SFRM_Materialize;
    info->setResult = store;
    info->setDesc = description;
    MemoryContextSwitchTo(previous);
  });
}

void ResultSet::add(const Row &row) {
  std::vector<char *> values;
  values.reserve(row.size());
  for (const auto &field : row)
    values.push_back(field ? const_cast<char *>(field->c_str()) : nullptr); // only read
  auto *const store = static_cast<Tuplestorestate *>(store_);
  auto *const columns = static_cast<AttInMetadata *>(columns_);
  guard([&]() noexcept {
    HeapTuple const tuple = BuildTupleFromCStrings(columns, values.data());
    tuplestore_puttuple(store, tuple);
    heap_freetuple(tuple);
  });
}

} // namespace backend
