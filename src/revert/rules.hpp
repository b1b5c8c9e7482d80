// The rules for rows: what of Gallery's data Immich's own tables hold, and what is done about it. Each rule gives steps
// from what the survey shows of the schema; none looks at a release number.
//
// The statements run under a search path that Immich's own trigger functions need, so with Immich's schema in it. They
// must mean the same under every path: tables and functions are qualified, and operators get operands of exactly their
// types (varchar::text, 0::numeric), so that no operator planted in that schema can be a better match than the server's
// own.
#pragma once

#include "revert/plan.hpp"

namespace gallery {

/// Gallery's tables that rules read. They stay until the rules are done; all others go first, so that deleting rows of
/// Immich's tables does not look for rows of theirs.
bool is_read_by_rules(std::string_view table);

/// What a rule reads and where it puts its steps.
class Rules {
public:
  Rules(const backend::Spi &spi, const Survey &survey, const Identity &identity, Plan &plan)
      : spi_(spi), survey_(survey), identity_(identity), plan_(plan) {}

  /// Values to put back: favourites, and what edits changed.
  void restore();
  /// Rows to remove: pets, memories, edits, links, permissions, checkpoints, plugin.
  void clean();
  /// JSON settings and rows of system_metadata, version_history.
  void settings();
  /// Role settings.
  void roles();

private:
  void favourites();
  void edits();
  void without_bookkeeping(std::size_t first);
  void pets();
  void memories();
  void space_links();
  void permissions();
  void checkpoints();
  void plugin();
  void preferences();
  void system_config();
  void versions();

  /// Schema-qualified, quoted name of a table of Immich's schema.
  [[nodiscard]] std::string t(const std::string &table) const { return backend::qualified(survey_.schema(), table); }
  /// Adds a step that changes the rows `matching`; the two below say how.
  void change_rows(const std::string &phase, const std::string &table, Change change, const std::string &statement,
                   const std::string &matching, const std::string &reason, std::vector<SideEffect> side_effects);
  /// Adds a step that deletes the rows `FROM table alias WHERE condition`.
  void remove(const std::string &phase, const std::string &table, const std::string &alias,
              const std::string &condition, const std::string &reason, std::vector<SideEffect> side_effects = {});
  /// Adds a step that sets `assignments` on the rows `FROM table alias [, others] WHERE condition`.
  void update(const std::string &phase, const std::string &table, const std::string &alias,
              const std::string &assignments, const std::string &others, const std::string &condition,
              const std::string &reason, std::vector<SideEffect> side_effects = {});
  /// True where the table has all these columns.
  [[nodiscard]] bool has(const std::string &table, std::initializer_list<const char *> columns) const;
  /// The side effects that exist in this database.
  [[nodiscard]] std::vector<SideEffect> existing(std::vector<SideEffect> effects) const;

  const backend::Spi &spi_;
  const Survey &survey_;
  const Identity &identity_;
  Plan &plan_;
};

/// A condition: the column is one of the keys that the query `keys` gives. The keys are an array made once, so that the
/// server looks rows up by the column's index whatever its statistics say: rows to clean are few beside those to keep.
std::string is_one_of(const std::string &column, const std::string &keys);

/// The keys of a path, joined: people read a.b, an array's text has a,b.
std::string path_text(manifest::JsonPath path, char separator);

/// A path as SQL needs it: '{a,b}'::text[]. The keys are plain words.
std::string path_literal(manifest::JsonPath path);

/// The side effects of deleting pets: cascades from faces and people, and the deletes' audit rows.
std::vector<SideEffect> person_side_effects();

} // namespace gallery
