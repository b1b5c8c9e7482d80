// What a rule is: a value that says what it needs to be there, which rows it may change beside its own, and how it
// makes its steps. The rules are for rows: what of Gallery's data Immich's own tables hold, and what is done about it.
// None looks at a release number.
//
// The statements run under a search path that Immich's own trigger functions need, so with Immich's schema in it. They
// must mean the same under every path: tables and functions are qualified, and operators get operands of exactly their
// types (varchar::text, 0::numeric), so that no operator planted in that schema can be a better match than the server's
// own.
#pragma once

#include "backend/guard.hpp"
#include "database/identity.hpp"
#include "rules/loss.hpp"
#include "rules/step.hpp"

#include <initializer_list>
#include <span>

namespace gallery {

/// What a rule may look at: the database as it was found. `objects` are Gallery's, by evidence.
class Context {
public:
  Context(const backend::Spi &spi, const Survey &survey, const Identity &identity,
          const std::vector<FoundObject> &objects)
      : spi(spi), survey(survey), identity(identity), objects_(objects) {}

  /// Schema-qualified, quoted name of a table of Immich's schema.
  [[nodiscard]] std::string t(std::string_view table) const {
    return backend::qualified(survey.schema(), std::string(table));
  }
  /// True where the table has all these columns: for things of Immich's.
  [[nodiscard]] bool has(const std::string &table, std::initializer_list<const char *> columns) const;
  /// The same for things of Gallery's: a table of hers, or columns of hers on a table of Immich's. What only has their
  /// names is not there.
  [[nodiscard]] bool has_gallery(std::string_view table, std::initializer_list<const char *> columns) const;

  const backend::Spi &spi;
  const Survey &survey;
  const Identity &identity;

private:
  const std::vector<FoundObject> &objects_; // NOLINT(cppcoreguidelines-avoid-const-or-ref-data-members)
};

/// What the rules of a phase want, in order.
struct Outcome {
  std::vector<Step> steps;
  std::vector<Remark> remarks;
  std::vector<Premise> premises;
  std::set<TableName> restored; // columns of Immich's that a step puts back
};

/// A table, and where a column is named, that column of it.
struct Need {
  std::string_view table;
  std::string_view column = {};
};

struct Rule {
  bool (*wanted)() = nullptr;       // by a setting; none: always
  std::string_view migration = {};  // of Gallery's that must be recorded; empty: it writes such rows without one
  std::span<const Need> needs = {}; // of Immich's that must be there
  std::span<const Need> reads = {}; // of Gallery's: tables, and columns of Immich's tables
  std::span<const SideEffect> side_effects = {};
  /// Adds to the outcome of its phase. Its steps get the phase and the side effects from here; they may have more.
  void (*work)(const Context &db, Outcome &phase) = nullptr;
  /// What is lost by it. Rules of one subject may state the same. Without one, the rows that it takes away count as
  /// notes of Gallery's own.
  const Loss *loss = nullptr;
};

/// The migration since which Gallery keeps favourites in a table of its own.
inline constexpr std::string_view favourite_tables = "1794000000000-AddAssetFavoriteTables";

/// The migration that turns jit off for the role that runs it.
inline constexpr std::string_view jit_setting = "1783628194057-DisablePostgresJit";

/// A step that deletes the rows `FROM table alias WHERE condition`.
Step remove(const Context &db, const std::string &table, const std::string &alias, const std::string &condition,
            const std::string &reason);
/// A step that sets `assignments` on the rows `FROM table alias [, others] WHERE condition`. What it has changed no
/// longer meets the condition; where that is not so, the caller says in `unsettled` what must be left of none.
Step update(const Context &db, const std::string &table, const std::string &alias, const std::string &assignments,
            const std::string &others, const std::string &condition, const std::string &reason);

/// A step that adds the rows of `query`, which gives the columns in their order.
Step insert(const Context &db, const std::string &table, const std::string &columns, const std::string &query,
            const std::string &reason);

/// A side effect on at most as many rows x as there are now `FROM table x WHERE condition`: what goes along by a key.
KnownEffect at_most(const Context &db, std::string_view table, Change change, const std::string &condition);

/// The name of a user `alias`, as SQL.
std::string user_name(const std::string &alias);

/// A loss's list: how many rows r of a table each user has, by the column that refers to him, among those of the
/// condition.
std::string list_by_user(const Context &db, const std::string &table, const char *column, const std::string &condition);

/// A condition: the column, a primary key of its own, is one of the keys that the query `keys` gives. The keys are an
/// array made once, so that the server looks rows up by the index whatever its statistics say: rows to clean are few
/// beside those to keep. For any other column it may go through the array for each row: there, IN.
std::string is_one_of(const std::string &column, const std::string &keys);

/// ARRAY of the names, as an SQL literal.
std::string array_of(std::span<const std::string_view> names);

/// The keys of a path, joined: people read a.b, an array's text has a,b.
std::string path_text(manifest::JsonPath path, char separator);

/// A path as SQL needs it: '{a,b}'::text[]. The keys are plain words.
std::string path_literal(manifest::JsonPath path);

/// Throws not_as_made() where the column, which must be there, is of another type.
void require_type(const Context &db, const std::string &table, const std::string &column, std::string_view type);

/// The refusal 55000 of a database whose native tables the rules cannot read.
backend::Refusal not_as_made(const std::string &what);

// Every rule, defined in the file of its subject.
#define RULE(phase, name) extern const Rule name;
namespace rules {
#include "rules/rules.inc"
}
#undef RULE

} // namespace gallery
