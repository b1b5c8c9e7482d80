// The module: magic block, _PG_init and the SQL-callable functions. Nothing else in the project is extern "C".
#include "answers/script.hpp"
#include "answers/show.hpp"
#include "backend/compat.hpp"
#include "backend/guard.hpp"
#include "revert/give_back.hpp"
#include "revert/revert.hpp"
#include "run/table_locks.hpp"
#include "settings.hpp"

namespace {

/// A SQL-callable function without arguments that returns one text.
template <std::string (*body)()>
Datum return_text(FunctionCallInfo fcinfo) {
  return backend::wall(fcinfo, [](FunctionCallInfo) {
    auto const text = body();
    return backend::guard([&]() noexcept {
      return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
    });
  });
}

/// A SQL-callable function without arguments that returns rows.
template <void (*body)(backend::ResultSet &)>
Datum return_rows(FunctionCallInfo fcinfo) {
  return backend::wall(fcinfo, [](FunctionCallInfo call) {
    backend::ResultSet result(call);
    body(result);
    return backend::ResultSet::done();
  });
}

/// The same of what looks at the database, or works in it and undoes that.
std::string write_script_undone() {
  std::string script;
  gallery::without_locks(gallery::script_call, [&] { script = gallery::write_script(); });
  return script;
}

/// Rows of what looks at the database.
template <const gallery::Call &function, void (*body)(backend::ResultSet &)>
Datum return_look(FunctionCallInfo fcinfo) {
  return backend::wall(fcinfo, [](FunctionCallInfo call) {
    backend::ResultSet result(call); // keeps to the memory and the resources of the caller
    gallery::without_locks(function, [&] { body(result); });
    return backend::ResultSet::done();
  });
}

} // namespace

// All that the server looks up by name; the rest of the module is hidden from it and from other modules (only from 16
// on do the server's own macros see to this).
#pragma GCC visibility push(default)

extern "C" {

COMPAT_MODULE_MAGIC("gallery_revert");

void _PG_init(void); // NOLINT(bugprone-reserved-identifier): the server's name

void _PG_init(void) {
  settings::define();
}

PG_FUNCTION_INFO_V1(gallery_revert);
PG_FUNCTION_INFO_V1(gallery_revert_plan);
PG_FUNCTION_INFO_V1(gallery_revert_script);
PG_FUNCTION_INFO_V1(gallery_revert_losses);
PG_FUNCTION_INFO_V1(gallery_archive_list);
PG_FUNCTION_INFO_V1(gallery_return);
PG_FUNCTION_INFO_V1(gallery_return_plan);
PG_FUNCTION_INFO_V1(gallery_revert_check);
PG_FUNCTION_INFO_V1(gallery_revert_status);
PG_FUNCTION_INFO_V1(gallery_revert_manifest);
PG_FUNCTION_INFO_V1(immich_inventory);
PG_FUNCTION_INFO_V1(immich_recovery_advice);
PG_FUNCTION_INFO_V1(immich_repair_migration_order);

Datum gallery_revert(PG_FUNCTION_ARGS) {
  return return_text<gallery::revert>(fcinfo);
}

Datum immich_repair_migration_order(PG_FUNCTION_ARGS) {
  return return_text<gallery::repair_ledger>(fcinfo);
}

Datum gallery_revert_plan(PG_FUNCTION_ARGS) {
  return return_look<gallery::plan_call, gallery::show_plan>(fcinfo);
}

Datum gallery_revert_script(PG_FUNCTION_ARGS) {
  return return_text<write_script_undone>(fcinfo);
}

Datum gallery_revert_losses(PG_FUNCTION_ARGS) {
  return return_look<gallery::losses_call, gallery::show_losses>(fcinfo);
}

Datum gallery_archive_list(PG_FUNCTION_ARGS) {
  return return_look<gallery::list_call, gallery::show_archive_list>(fcinfo);
}

Datum gallery_return(PG_FUNCTION_ARGS) {
  return return_text<gallery::give_back>(fcinfo);
}

Datum gallery_return_plan(PG_FUNCTION_ARGS) {
  return return_look<gallery::return_plan_call, gallery::show_return_plan>(fcinfo);
}

Datum gallery_revert_check(PG_FUNCTION_ARGS) {
  return return_rows<gallery::show_check>(fcinfo);
}

Datum gallery_revert_status(PG_FUNCTION_ARGS) {
  return return_look<gallery::status_call, gallery::show_status>(fcinfo);
}

Datum gallery_revert_manifest(PG_FUNCTION_ARGS) {
  return return_rows<gallery::show_manifest>(fcinfo);
}

Datum immich_inventory(PG_FUNCTION_ARGS) {
  return return_look<gallery::inventory_call, gallery::show_inventory>(fcinfo);
}

Datum immich_recovery_advice(PG_FUNCTION_ARGS) {
  return backend::wall(fcinfo, [](FunctionCallInfo call) {
    std::optional<std::string> target;
    if (call->nargs > 0 && !call->args[0].isnull)
      target = backend::guard([=]() noexcept { return text_to_cstring(DatumGetTextPP(call->args[0].value)); });
    backend::ResultSet result(call);
    gallery::without_locks(gallery::advice_call, [&] { gallery::show_advice(result, target); });
    return backend::ResultSet::done();
  });
}
}

#pragma GCC visibility pop
