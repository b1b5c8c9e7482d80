// The checks before a revert. Each gives a finding; gallery_revert() enforces the blocked ones, gallery_revert_check()
// shows them all: the same code for both.
#pragma once

#include "readiness/call.hpp"
#include "readiness/finding.hpp"
#include "readiness/integrity.hpp"

namespace gallery {

/// 1: a primary server, a read-write READ COMMITTED transaction, triggers on.
Finding check_transaction(const Call &call);
/// 2: gallery.revert_token, set in this session. `consequence` is the sentence that says what the token accepts.
Finding check_token(const char *consequence);

/// 2 of the way back: gallery.return_token, set in this session.
Finding check_return_token();

/// What the token of a revert accepts.
inline constexpr const char *revert_consequence =
    "A revert removes for good what only Gallery knows: spaces, groups, pets and the like.";
/// 3: exactly one ledger. Sets `ledger` where ok.
Finding check_ledger(const backend::Spi &spi, Ledger &ledger);
/// 4: every name in the ledgers is known.
Finding check_migrations(const Identity &identity);
/// 5: Immich's migrator will accept what is left of the ledger.
Finding check_prefix(const Identity &identity);
/// 9: the schema of a Gallery has nothing that only later migrations of Immich make than those recorded.
Finding check_unrecorded(const Identity &identity, const std::vector<Drift> &drift);
/// 5: the target, chosen or set, ships every migration in the ledger. Sets `target` where ok.
Finding check_target(const Identity &identity, const manifest::ImmichRelease *&target);
/// 6: everything of Immich's and Gallery's, and of the tables `also`, belongs to the ledger's owner and runs nobody
/// else's code.
Finding check_ownership(const Survey &survey, const Evidence &evidence, const std::vector<std::string> &also = {});
/// 6: what is called as something of Gallery's that rules read is as Gallery makes it.
Finding check_evidence(const Survey &survey, const Evidence &evidence);
/// 6: nothing in the schemas that Immich's functions search can be run in place of what they mean.
Finding check_shadows(const Survey &survey);
/// 6: the archive that is asked for can be written: there is none yet and the owner may make it, or it is one. Where
/// none is asked for, whether there is one that may be read.
Finding check_archive(const backend::Spi &spi, const Survey &survey);
/// 6 of the way back: this is a Gallery that has been started, and there is an archive of it. Sets `run`, the run to
/// put back, where ok; whether that has been put back already is told by was_returned().
Finding check_return(const backend::Spi &spi, const Survey &survey, const Identity &identity, int &run);
/// When the run was put back, as a text; empty where it was not.
std::string was_returned(const backend::Spi &spi, int run);
/// 7: every file path is on disk.
Finding check_paths(const backend::Spi &spi, const Survey &survey);
/// The columns of paths that are there: what their files are, and FROM ... WHERE ... of those that are not on disk.
std::vector<std::pair<std::string, std::string>> off_disk(const Survey &survey);
/// The other clients of a database, each as a line for a detail.
std::string other_clients_sql();
/// 8: no other client is connected to this database.
Finding check_sessions(const backend::Spi &spi, const Call &call);
/// 9: the plan is the one of gallery.revert_plan, where that is set.
/// `shown` is the function that shows such a plan.
Finding check_plan(const Plan &plan, const Call &shown = plan_call);
/// The server's lock table has room for what a revert takes. Only a warning: how far it grows beyond its size is the
/// server's own affair, and who meets its end has lost nothing.
Finding check_lock_table(const backend::Spi &spi, const Survey &survey, const Plan &plan);
/// 9: nothing that neither Gallery nor Immich made depends on what goes, or changes with Immich's own tables.
Finding check_dependents(const backend::Spi &spi, const Survey &survey, const Plan &plan);
/// 9: no publication keeps rows from being changed that a step changes.
Finding check_publications(const backend::Spi &spi, const Survey &survey, const Plan &plan);
/// What somebody added to tables that steps change and that may refuse a change when it meets the row. Only a warning:
/// nobody can tell beforehand what code does.
Finding check_obstacles(const backend::Spi &spi, const Survey &survey, const Plan &plan,
                        const std::vector<Drift> &drift);
/// 9: the foreign keys that steps rely on hold. Keys elsewhere are a warning.
Finding check_keys(const backend::Spi &spi, const Survey &survey, const std::vector<BrokenKey> &broken);
/// What a fork's script left behind that Immich fails at: named with the statements that remove it.
Finding check_leftovers(const Survey &survey, const Identity &identity);
/// Objects with a name of Gallery's that are not Gallery's: left alone, with a warning.
Finding check_strangers(const Survey &survey, const std::vector<Stranger> &strangers);

} // namespace gallery
