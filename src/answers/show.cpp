// Plan, status, manifest and advice as rows.
#include "answers/show.hpp"

#include "answers/advice.hpp"
#include "answers/findings.hpp"
#include "backend/guard.hpp"
#include "database/session.hpp"
#include "readiness/checks.hpp"
#include "readiness/situation.hpp"
#include "rules/rules.hpp"

namespace gallery {

void show_plan(backend::ResultSet &result) {
  backend::Spi const spi;
  Careful const careful(spi);
  auto const now = look(spi, Rows::counted);
  int number = 0;
  for (const auto &step : now.plan.steps)
    result.add({std::to_string(++number), step.phase, step.kind, step.object, step.reason,
                step.rows ? backend::Field(std::to_string(*step.rows)) : backend::Field(), step.digest,
                step.statement});
}

void show_losses(backend::ResultSet &result) {
  backend::Spi const spi;
  Careful const careful(spi);
  for (const auto &loss : losses_of(spi, look(spi)))
    result.add({loss.what, std::to_string(loss.count), loss.names, loss.instead});
}

void show_status(backend::ResultSet &result) {
  backend::Spi const spi;
  Careful const careful(spi);
  auto ledgers = find_ledgers(spi, "kysely_migrations");
  if (ledgers.size() != 1) {
    result.add({ledgers.empty() ? "none" : "several", {}, {}, {}, "0", "0", "{}", {}});
    return;
  }
  auto survey = read_ledgers(spi, std::move(ledgers.front()));
  bool const looked = needs_objects(survey);
  if (looked)
    read_objects(spi, survey);
  auto const identity = identify(survey);
  if (!identity.is_gallery) {
    if (!looked)
      read_objects(spi, survey);
    if (auto const lost = check_evidence(survey, find_objects(spi, survey, identity, is_read_by_rules));
        lost.status == Status::blocked)
      backend::report(WARNING, lost.message, lost.detail, lost.hint);
  }
  // Where a revert may switch to, the last being the tag that it pins; of an Immich, the releases with just these rows.
  auto const [first, last] = identity.is_gallery
                                 ? std::pair(choose_first(identity.native_migrations, identity.immich_base),
                                             choose_target(identity.native_migrations, identity.immich_base))
                                 : releases_with(identity.native_migrations);
  const auto *fits = choose_target(identity.native_migrations, Version());
  auto const unknown_text = spi.query("SELECT " + backend::array_literal(identity.unknown)).at(0)[0];
  result.add({identity.is_gallery ? "gallery" : "immich",
              identity.gallery_release.empty() ? backend::Field() : backend::Field(identity.gallery_release),
              first != nullptr  ? backend::Field(first->tag)
              : fits != nullptr ? backend::Field(fits->tag)
                                : backend::Field(),
              last != nullptr ? backend::Field(last->tag) : backend::Field(),
              std::to_string(identity.native_migrations), std::to_string(identity.fork_migrations), unknown_text,
              survey.versions.empty()
                  ? backend::Field()
                  : backend::Field(survey.versions[0].version + " at " + survey.versions[0].started)});
}

void show_manifest(backend::ResultSet &result) {
  for (const auto &fact : manifest::gallery_objects()) {
    auto const object = fact.kind == manifest::Kind::Table || fact.kind == manifest::Kind::Function
                            ? std::string(fact.name)
                            : std::string(fact.table) + '.' + std::string(fact.name);
    const auto *migration = manifest::find_gallery_migration(fact.migration);
    result.add({std::string(manifest::name_of(fact.kind)), object, std::string(fact.migration),
                migration->earliest.empty() ? backend::Field() : backend::Field(migration->earliest)});
  }
  for (const auto &migration : manifest::gallery_migrations())
    result.add({"migration", std::string(migration.name), std::string(migration.name),
                migration.earliest.empty() ? backend::Field() : backend::Field(migration.earliest)});
}

void show_advice(backend::ResultSet &result, const std::optional<std::string> &target) {
  backend::Spi const spi;
  Careful const careful(spi);
  Ledger ledger;
  auto const found = check_ledger(spi, ledger);
  Advice advice;
  std::vector<std::string> findings;
  if (found.status == Status::ok) {
    auto const survey = read_survey(spi, std::move(ledger));
    auto const identity = identify(survey);
    advice = advise(survey, identity, target);
    findings = findings_of(spi, survey, identity, advice, target);
  } else {
    // Before v1.132 the ledger was TypeORM's.
    auto const typeorm = spi.query(
        "SELECT count(*) FROM pg_class c WHERE c.relname = 'migrations' AND c.relkind = 'r' AND"
        " (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname IN ('id', 'timestamp', 'name')"
        " AND NOT a.attisdropped) = 3 AND EXISTS (SELECT FROM pg_class o WHERE o.relnamespace = c.relnamespace"
        " AND o.relname IN ('assets', 'system_metadata', 'system_config'))");
    if (found.sqlstate != ERRCODE_UNDEFINED_TABLE || typeorm.at(0)[0] == "0")
      enforce(found);
    advice = advise_typeorm();
  }
  auto const lists =
      spi.query("SELECT " + backend::array_literal(advice.steps) + ", " + backend::array_literal(findings)).at(0);
  result.add({advice.advice, advice.reason, advice.pin.empty() ? backend::Field() : backend::Field(advice.pin),
              lists[0], lists[1]});
}

} // namespace gallery
