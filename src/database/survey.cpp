// Reads the ledgers and the catalog with one statement for each kind of object.
#include "database/survey.hpp"

#include "backend/guard.hpp"
#include "database/definition.hpp"
#include "database/trust.hpp"

extern "C" {
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
}

namespace gallery {

using backend::qualified;
using manifest::Kind;

namespace {

Oid to_oid(const backend::Field &field) {
  return field ? static_cast<Oid>(std::stoul(*field)) : InvalidOid;
}

std::string text(const backend::Field &field) {
  return field.value_or(std::string());
}

bool yes(const backend::Field &field) {
  return field == "t";
}

/// Joins the extension that an object of `catalog` belongs to, as e.extname.
std::string join_extension(const std::string &catalog, const std::string &oid) {
  return " LEFT JOIN pg_depend d ON d.classid = '" + catalog + "'::regclass AND d.objid = " + oid +
         " AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' LEFT JOIN pg_extension e ON e.oid = "
         "d.refobjid";
}

void read_relations(const backend::Spi &spi, const std::string &schema_oid, Survey &survey) {
  for (auto &row : spi.query("SELECT c.relname, c.oid, c.relkind, pg_get_userbyid(c.relowner), e.extname, t.relname, "
                             "k.conname FROM pg_class c" +
                             join_extension("pg_class", "c.oid") +
                             " LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_class t ON t.oid = i.indrelid"
                             " LEFT JOIN pg_constraint k ON k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')"
                             " WHERE c.relkind <> 't' AND c.relnamespace = " +
                             schema_oid)) {
    Relation relation;
    relation.oid = to_oid(row[1]);
    relation.kind = text(row[2]).front();
    relation.owner = text(row[3]);
    relation.extension = text(row[4]);
    relation.table = text(row[5]);
    relation.constraint = text(row[6]);
    survey.relations.emplace(text(row[0]), std::move(relation));
  }
}

void read_columns(const backend::Spi &spi, const std::string &schema_oid, Survey &survey) {
  for (auto &row :
       spi.query("SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnum FROM pg_class c"
                 " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
                 " WHERE c.relkind IN ('r', 'p') AND c.relnamespace = " +
                 schema_oid)) {
    TableName name(text(row[0]), text(row[1]));
    survey.column_numbers.emplace(name, std::stoi(text(row[3])));
    survey.columns.emplace(std::move(name), survey.unqualified(text(row[2])));
  }
}

void read_table_parts(const backend::Spi &spi, const std::string &schema_oid, Survey &survey) {
  for (auto &row :
       spi.query("SELECT c.relname, k.conname, k.oid FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
                 " WHERE c.relnamespace = " +
                 schema_oid))
    survey.constraints.emplace(TableName(text(row[0]), text(row[1])), to_oid(row[2]));
  for (auto &row : spi.query("SELECT c.relname, g.tgname, g.oid FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid"
                             " WHERE NOT g.tgisinternal AND c.relnamespace = " +
                             schema_oid))
    survey.triggers.emplace(TableName(text(row[0]), text(row[1])), to_oid(row[2]));
  survey.deferrable = yes(spi.query("SELECT EXISTS (SELECT FROM pg_trigger WHERE tgdeferrable)").at(0)[0]);
}

void read_functions(const backend::Spi &spi, const std::string &schema_oid, Survey &survey) {
  for (auto &row : spi.query(
           "SELECT p.proname::text || '(' || oidvectortypes(p.proargtypes) || ')', p.oid, pg_get_userbyid(p.proowner),"
           " e.extname FROM pg_proc p" +
           join_extension("pg_proc", "p.oid") + " WHERE p.prokind = 'f' AND p.pronamespace = " + schema_oid)) {
    Function function;
    function.oid = to_oid(row[1]);
    function.owner = text(row[2]);
    function.extension = text(row[3]);
    survey.functions.emplace(text(row[0]), std::move(function));
  }
}

/// Immich's functions name their like unqualified, so they need the path that Immich's server has.
void read_search_path(const backend::Spi &spi, Survey &survey) {
  std::vector<std::string> extensions;
  for (const auto &fact : manifest::native_catalog())
    if (fact.kind == Kind::Extension)
      extensions.emplace_back(fact.name);
  survey.search_path.push_back(survey.schema());
  for (auto &row :
       spi.query("SELECT DISTINCT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
                 " WHERE n.nspname <> 'pg_catalog' AND e.extname = ANY (" +
                 backend::array_literal(extensions) + ") ORDER BY 1"))
    if (text(row[0]) != survey.schema())
      survey.search_path.push_back(text(row[0]));
  auto const schemas =
      "(SELECT oid FROM pg_namespace WHERE nspname = ANY (" + backend::array_literal(survey.search_path) + "::name[]))";
  for (auto &row :
       spi.query("SELECT p.proname FROM pg_proc p WHERE p.pronamespace IN " + schemas +
                 " AND EXISTS (SELECT FROM pg_proc q WHERE q.proname = p.proname AND q.pronamespace ="
                 " 'pg_catalog'::regnamespace) UNION SELECT t.typname FROM pg_type t WHERE t.typnamespace IN " +
                 schemas +
                 " AND EXISTS (SELECT FROM pg_type q WHERE q.typname = t.typname AND q.typnamespace ="
                 " 'pg_catalog'::regnamespace)"))
    survey.ambiguous.insert(text(row[0]));
}

} // namespace

bool Survey::same_objects(const Survey &other) const {
  return relations == other.relations && columns == other.columns && constraints == other.constraints &&
         triggers == other.triggers && functions == other.functions && overrides == other.overrides;
}

std::string Survey::unqualified(std::string definition) const {
  for (const auto &schema : search_path)
    strip_qualifier(definition, backend::identifier(schema) + '.', ambiguous);
  return definition;
}

std::string Survey::path_setting() const {
  std::string path;
  for (const auto &name : search_path)
    path += backend::identifier(name) + ", ";
  return path + "pg_temp";
}

bool Survey::has_table(const std::string &table) const {
  auto found = relations.find(table);
  return found != relations.end() && !untrusted.contains(table) &&
         (found->second.kind == RELKIND_RELATION || found->second.kind == RELKIND_PARTITIONED_TABLE);
}

bool Survey::has_column(const std::string &table, const std::string &column) const {
  return columns.contains(TableName(table, column)) && !untrusted.contains(table);
}

std::optional<FoundObject> Survey::find(const manifest::GalleryObject &fact) const {
  std::string const table(fact.table);
  std::string const name(fact.name);
  FoundObject found;
  found.fact = &fact;
  auto relation = relations.find(fact.kind == Kind::Index ? name : table);
  switch (fact.kind) {
  case Kind::Table:
  case Kind::Index:
    if (relation == relations.end() || (fact.kind == Kind::Index && relation->second.table != table))
      return std::nullopt;
    found.class_oid = RelationRelationId;
    found.oid = relation->second.oid;
    found.extension = relation->second.extension;
    found.owner = relation->second.owner;
    return found;
  case Kind::Column:
    if (!has_column(table, name))
      return std::nullopt;
    found.class_oid = RelationRelationId;
    found.oid = relation->second.oid;
    found.column = column_numbers.at(TableName(table, name));
    return found;
  case Kind::Constraint:
  case Kind::Trigger: {
    const auto &parts = fact.kind == Kind::Trigger ? triggers : constraints;
    auto part = parts.find(TableName(table, name));
    if (part == parts.end())
      return std::nullopt;
    found.class_oid = fact.kind == Kind::Trigger ? TriggerRelationId : ConstraintRelationId;
    found.oid = part->second;
    return found;
  }
  case Kind::Function: {
    auto function = functions.find(name);
    if (function == functions.end())
      return std::nullopt;
    found.class_oid = ProcedureRelationId;
    found.oid = function->second.oid;
    found.extension = function->second.extension;
    found.owner = function->second.owner;
    return found;
  }
  default:
    return std::nullopt;
  }
}

void read_objects(const backend::Spi &spi, Survey &survey) {
  auto const schema_oid = std::to_string(survey.ledger.schema_oid);
  read_search_path(spi, survey);
  read_relations(spi, schema_oid, survey);
  read_columns(spi, schema_oid, survey);
  read_table_parts(spi, schema_oid, survey);
  read_functions(spi, schema_oid, survey);
  if (survey.has_column("migration_overrides", "name"))
    for (auto &row : spi.query("SELECT name::text FROM " + qualified(survey.schema(), "migration_overrides")))
      survey.overrides.insert(text(row[0]));
  survey.archive = find_archive(spi);
  survey.shadows = shadows(spi, survey.search_path, survey.ledger.owner_oid);
}

Survey read_survey(const backend::Spi &spi, Ledger ledger) {
  auto survey = read_ledgers(spi, std::move(ledger));
  read_objects(spi, survey);
  return survey;
}

} // namespace gallery
