// The checks of the data: file paths, foreign keys, and what depends on what goes.
#include "backend/guard.hpp"
#include "readiness/checks.hpp"

#include <algorithm>

extern "C" {
#include "catalog/pg_class.h"
}

namespace gallery {

using backend::identifier;
using backend::literal;
using backend::qualified;

namespace {

struct PathColumn {
  const char *label;
  const char *table;
  const char *column;
};

constexpr PathColumn path_columns[] = {
    {"originals", "asset", "originalPath"},
    {"encoded videos", "asset", "encodedVideoPath"},
    {"files", "asset_file", "path"},
    {"person thumbnails", "person", "thumbnailPath"},
    {"profile images", "user", "profileImagePath"},
};

/// What the path of a file in S3 looks like: one of Immich's folders first, with no media location before it.
constexpr const char *s3_key =
    "^(upload|library|thumbs|encoded-video|profile)/(?!(upload|library|thumbs|encoded-video|profile|backups)/)";

std::string text(const backend::Field &field) {
  return field.value_or(std::string());
}

/// Tables of the user's that the server changes with Immich's: a child of such a table has its columns and its rows,
/// and a column may be of the type that the rows of such a table have.
Finding check_ties(const backend::Spi &spi, const Survey &survey, const Plan &plan, Finding none) {
  std::set<std::string> altered;
  for (const auto &object : plan.objects)
    if (object.fact->kind == manifest::Kind::Column && !manifest::is_gallery_table(object.fact->table))
      altered.emplace(object.fact->table);
  for (const auto &column : plan.restored)
    altered.insert(column.first);
  auto changed = altered;
  for (const auto &step : plan.steps)
    if (!step.table.empty()) {
      changed.insert(step.table);
      for (const auto &effect : step.side_effects)
        changed.emplace(effect.table);
    }
  auto const among = [&](const std::set<std::string> &tables) {
    return " FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = " + std::to_string(survey.ledger.schema_oid) +
           "::oid AND c.relname = ANY (" + backend::array_literal({tables.begin(), tables.end()}) + "::name[])";
  };
  std::vector<std::string> lines;
  std::string statements;
  for (const auto &row : spi.query(
           "SELECT pg_describe_object('pg_class'::regclass, i.inhrelid, 0) || ' inherits from ' ||"
           " pg_describe_object('pg_class'::regclass, p.oid, 0), format(' ALTER TABLE %s NO INHERIT %s;',"
           " i.inhrelid::regclass, p.oid::regclass) FROM (SELECT c.oid" +
           among(changed) +
           ") p JOIN pg_inherits i ON i.inhparent = p.oid UNION ALL (WITH RECURSIVE made (oid, origin) AS (SELECT"
           " c.reltype, c.oid" +
           among(altered) +
           " UNION SELECT n.oid, m.origin FROM made m CROSS JOIN LATERAL (SELECT y.oid FROM pg_type y WHERE y.typelem ="
           " m.oid OR y.typbasetype = m.oid UNION ALL SELECT y.reltype FROM pg_class y JOIN pg_attribute b ON"
           " b.attrelid = y.oid WHERE y.relkind = 'c' AND b.atttypid = m.oid) n) SELECT"
           " pg_describe_object('pg_class'::regclass, a.attrelid, a.attnum) || ' has the type of rows of ' ||"
           " pg_describe_object('pg_class'::regclass, m.origin, 0), format(' ALTER TABLE %s ALTER COLUMN %I TYPE jsonb"
           " USING pg_catalog.to_jsonb(%I);', a.attrelid::regclass, a.attname, a.attname) FROM made m JOIN "
           "pg_attribute a ON"
           " a.atttypid = m.oid AND NOT a.attisdropped JOIN pg_class t ON t.oid = a.attrelid AND t.relkind IN ('r',"
           " 'p', 'm', 'f')) ORDER BY 1")) {
    lines.push_back(text(row[0]));
    statements += text(row[1]);
  }
  if (lines.empty())
    return none;
  return blocked(std::move(none.name), ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
                 "tables that neither Gallery nor Immich made would change with Immich's", list_lines(lines),
                 "They would lose columns or rows, or keep the server from changing Immich's. Drop them if you do not "
                 "need them. Or, connected as who owns them (SET ROLE is not enough), run:" +
                     statements + " Then run gallery_revert() again.");
}

/// The column, to be searched for a pattern: where its own collation is not deterministic, the server would not.
std::string path_text(const PathColumn &path) {
  return identifier(path.column) + "::text COLLATE pg_catalog.\"C\"";
}

/// FROM ... WHERE ... of the files that are not on disk.
std::string off_disk(const Survey &survey, const PathColumn &path) {
  auto const column = path_text(path);
  return "FROM " + qualified(survey.schema(), path.table) + " WHERE " + column + " <> '' AND " + column +
         " NOT LIKE '/%'";
}

} // namespace

std::vector<std::pair<std::string, std::string>> off_disk(const Survey &survey) {
  std::vector<std::pair<std::string, std::string>> sources;
  for (const auto &path : path_columns)
    if (survey.has_column(path.table, path.column))
      sources.emplace_back(path.label, off_disk(survey, path));
  return sources;
}

Finding check_paths(const backend::Spi &spi, const Survey &survey) {
  std::vector<std::string> lines;
  bool in_s3 = false;
  for (const auto &path : path_columns) {
    if (!survey.has_column(path.table, path.column))
      continue;
    auto const column = path_text(path);
    auto const source = ' ' + off_disk(survey, path);
    auto const row =
        spi.query("SELECT count(*), coalesce(bool_or(" + column + " ~ " + literal(s3_key) + "), false)" + source).at(0);
    if (row[0] == "0")
      continue;
    in_s3 = in_s3 || row[1] == "t";
    std::string line = text(row[0]) + ' ' + path.label + ", for example";
    for (const auto &example : spi.query("SELECT " + column + source + " ORDER BY " + column + " LIMIT 3"))
      line += " \"" + text(example[0]) + '"';
    lines.push_back(std::move(line));
  }
  Finding finding;
  finding.name = "paths";
  if (lines.empty()) {
    finding.message = "every file path is on disk";
    return finding;
  }
  finding.status = Status::blocked;
  finding.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
  finding.detail = list_lines(lines);
  if (in_s3) {
    finding.message = "some files are in S3, where Immich cannot read them";
    finding.hint = "Start Gallery, let it migrate its storage from S3 back to disk, wait until that is "
                   "done, stop Gallery, then run gallery_revert() again.";
  } else {
    finding.message = "some file paths do not start with \"/\"";
    finding.hint = "They look like those of a relative media location. Start Gallery once with IMMICH_MEDIA_LOCATION "
                   "set to the absolute "
                   "path of the same folder, so that it rewrites them, then run gallery_revert() again.";
  }
  return finding;
}

Finding check_dependents(const backend::Spi &spi, const Survey &survey, const Plan &plan) {
  constexpr const char *name = "dependents";
  auto none = ok(name, "nothing else depends on Gallery's objects");
  std::string roots;
  auto add_root = [&](Oid class_oid, Oid oid, int column) {
    roots += (roots.empty() ? "(" : ", (") + std::to_string(class_oid) + "::oid, " + std::to_string(oid) + "::oid, " +
             std::to_string(column) + ")";
  };
  for (const auto &object : plan.objects)
    add_root(object.class_oid, object.oid, object.column);
  for (const auto &table : plan.ledgers)
    add_root(RelationRelationId, survey.relations.at(table).oid, 0);
  if (roots.empty())
    return check_ties(spi, survey, plan, std::move(none));
  // What is part of a doomed object (its type, indexes, constraints, triggers ...) goes with it, and so on. Of a column
  // on one of Immich's tables only its default and its NOT NULL are part; an index or a constraint over it that is not
  // Gallery's is somebody's.
  std::string const sql =
      "WITH RECURSIVE root (classid, objid, objsubid) AS (VALUES " + roots +
      "), doomed (classid, objid, objsubid) AS ("
      " SELECT * FROM root UNION"
      " SELECT d.classid, d.objid, d.objsubid FROM doomed o JOIN pg_depend d ON d.refclassid = o.classid AND "
      "d.refobjid = o.objid"
      " AND (o.objsubid = 0 OR d.refobjsubid = o.objsubid) WHERE d.deptype IN ('a', 'i', 'P', 'S')"
      " AND (o.objsubid = 0 OR d.classid = 'pg_attrdef'::regclass OR EXISTS"
      " (SELECT FROM pg_constraint k WHERE d.classid = 'pg_constraint'::regclass AND k.oid = d.objid AND k.contype = "
      "'n')))"
      " SELECT DISTINCT CASE WHEN w.oid IS NULL THEN pg_describe_object(d.classid, d.objid, d.objsubid)"
      " ELSE pg_describe_object('pg_class'::regclass, w.ev_class, 0) END || ' depends on ' ||"
      " pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)"
      " FROM doomed o JOIN pg_depend d ON d.refclassid = o.classid AND d.refobjid = o.objid AND (o.objsubid = 0 OR "
      "d.refobjsubid = o.objsubid)"
      " LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid"
      " WHERE d.deptype IN ('n', 'a', 'x') AND NOT EXISTS (SELECT FROM doomed p WHERE p.classid = d.classid AND "
      "p.objid = d.objid"
      " AND (p.objsubid = 0 OR p.objsubid = d.objsubid))"
      " UNION SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid) || ' belongs to ' ||"
      " pg_describe_object(d.refclassid, d.refobjid, 0) FROM root r JOIN pg_depend d ON d.classid = r.classid AND "
      "d.objid = r.objid"
      " WHERE d.deptype = 'e' ORDER BY 1";
  std::vector<std::string> lines;
  for (const auto &row : spi.query(sql))
    lines.push_back(text(row[0]));
  if (lines.empty())
    return check_ties(spi, survey, plan, std::move(none));
  return blocked(
      name, ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST,
      "objects that neither Gallery nor Immich made depend on Gallery's objects", list_lines(lines),
      "They are yours or another tool's, or Gallery's under another name, so nothing is dropped. Look at each "
      "before you drop anything: a table that hangs on something of Gallery's may hold what only Gallery knows, "
      "such as favourites; if it was renamed, rename it back: ALTER TABLE ... RENAME TO ...; Of what is yours, "
      "keep the definitions (pg_dump --schema-only), drop it, then run gallery_revert() again.");
}

Finding check_keys(const backend::Spi &spi, const Survey &survey, const std::vector<BrokenKey> &broken) {
  constexpr const char *name = "keys";
  std::vector<ForeignKey> keys;
  bool in_the_way = false;
  for (const auto &entry : broken) {
    keys.push_back(entry.key);
    in_the_way = in_the_way || entry.in_the_way;
  }
  if (broken.empty())
    return ok(name, "Immich's foreign keys are all there and enforced");
  auto const orphans = count_orphans(spi, survey, keys);
  std::vector<std::string> lines;
  std::vector<std::string> statements;
  for (const auto &entry : broken) {
    if (in_the_way && !entry.in_the_way)
      continue;
    auto const found = orphans.find(entry.key.table + '.' + entry.key.name);
    lines.push_back(
        "key " + quoted(entry.key.name) + " of table " + quoted(entry.key.table) + ' ' + entry.what +
        (found == orphans.end() ? std::string() : " (" + std::to_string(found->second) + " rows point to nothing)"));
    if (std::find(statements.begin(), statements.end(), entry.mend) == statements.end())
      statements.push_back(entry.mend);
  }
  // A superuser who is not the owner runs none but the first: the others plan queries, with whatever the owner's
  // indexes call.
  std::string const hint = "Look at the rows that point to nothing, if any. ENABLE TRIGGER needs a superuser; run "
                           "anything else connected as " +
                           quoted(survey.ledger.owner) + " (SET ROLE is not enough):\n" + list_lines(statements);
  auto finding = blocked(name, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                         "foreign keys of Immich's do not hold where rows have to be deleted", list_lines(lines), hint);
  if (!in_the_way) {
    finding.status = Status::warning;
    finding.message = "foreign keys of Immich's do not hold";
  }
  return finding;
}

Finding check_leftovers(const Survey &survey, const Identity &identity) {
  constexpr const char *name = "leftovers";
  std::vector<std::string> lines;
  std::string statements;
  for (const auto &fact : manifest::leftovers()) {
    std::string const table(fact.table);
    std::string const object(fact.name);
    bool const trigger = fact.kind == manifest::Kind::Trigger;
    bool const there = trigger ? survey.triggers.contains({table, object}) : survey.functions.contains(object);
    if (!there || manifest::is_native(fact.kind, fact.table, fact.name, identity.native_migrations))
      continue;
    lines.push_back(std::string(manifest::name_of(fact.kind)) + ' ' + quoted(fact.name) +
                    (trigger ? " of table " + quoted(fact.table) : std::string()) + ": " + std::string(fact.why));
    auto const arguments = std::min(object.find('('), object.size());
    statements += trigger ? " DROP TRIGGER " + identifier(object) + " ON " + qualified(survey.schema(), table) + ';'
                          : " DROP FUNCTION " + qualified(survey.schema(), object.substr(0, arguments)) +
                                object.substr(arguments) + ';';
  }
  if (lines.empty())
    return ok(name, "nothing is left that Immich fails at");
  // Nothing is refused for it: only told.
  return blocked(name, 0, "a script of Gallery's left something at which Immich fails", list_lines(lines),
                 "Run:" + statements);
}

} // namespace gallery
