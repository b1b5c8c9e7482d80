// What goes around the steps that put values back: no new "updateId" for the assets, a sync reset for the sessions.
#include "rules/rule.hpp"

namespace gallery {

namespace {

constexpr Need needs[] = {{"session", "isPendingSyncReset"}};

/// Puts the steps of its phase between two that turn the trigger off and on again which gives a changed asset a new
/// "updateId", and asks for a sync reset of all sessions after them. Favourites that were taken away in Gallery since
/// the column went leave no row to change here, so phones would keep them: only a reset tells phones everything. And a
/// row version without a new "updateId" changes no indexed column, so it can stay on its page without new entries in
/// twenty indexes.
void work(const Context &db, Outcome &phase) {
  if (phase.steps.empty())
    return;
  // Where it is not as Immich has it, it stays as it is: the reset is wanted all the same.
  auto const trigger = db.survey.triggers.find({"asset", "asset_updatedAt"});
  if (trigger != db.survey.triggers.end() &&
      db.spi.query("SELECT tgenabled = 'O' FROM pg_trigger WHERE oid = " + std::to_string(trigger->second)).at(0)[0] ==
          "t") {
    Step step;
    step.kind = "trigger";
    step.object = "asset_updatedAt on asset";
    step.auxiliary = true;
    step.reason = "off meanwhile; sessions get a sync reset instead";
    step.statement = "ALTER TABLE " + db.t("asset") + " DISABLE TRIGGER \"asset_updatedAt\"";
    phase.steps.insert(phase.steps.begin(), step);
    step.reason = "on again";
    step.statement = "ALTER TABLE " + db.t("asset") + " ENABLE TRIGGER \"asset_updatedAt\"";
    phase.steps.push_back(std::move(step));
  }
  phase.steps.push_back(update(db, "session", "s", "\"isPendingSyncReset\" = true", "",
                               "s.\"isPendingSyncReset\" IS NOT TRUE",
                               "sync reset, so that phones see what was restored"));
  phase.steps.back().auxiliary = !db.identity.recorded(favourite_tables);
}

} // namespace

constinit const Rule rules::bookkeeping = {.needs = needs, .work = work};

} // namespace gallery
