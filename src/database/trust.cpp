// Two questions to the catalog. Both begin with what strange roles own, which in most databases is nothing.
#include "database/trust.hpp"

#include "manifest/manifest.hpp"

#include <set>

namespace gallery {

namespace {

/// Roles whose code may not run with the rights of `owner`.
std::string is_strange(const std::string &role, const std::string &owner) {
  return role + " <> " + owner + "::oid AND NOT EXISTS (SELECT FROM pg_roles WHERE oid = " + role + " AND rolsuper)";
}

} // namespace

std::array<std::string, 3> untrusted_sql(const std::string &schema, const std::string &owner) {
  auto const in_schema = "c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relnamespace = " + schema + "::oid";
  auto const oid = owner + "::oid";
  // Immich's and Gallery's own are asked for by themselves.
  auto names = manifest::native_tables();
  names.merge(manifest::gallery_tables());
  auto const is_known = "(t.relnamespace = " + schema + "::oid AND t.relname = ANY (" +
                        backend::array_literal({names.begin(), names.end()}) + "::name[]))";
  return {
      "SELECT c.relname, 'belongs to \"' || pg_get_userbyid(c.relowner)::text || '\"' FROM pg_class c WHERE " +
          in_schema + " AND c.relowner <> " + oid,
      "WITH RECURSIVE heir (top, oid) AS (SELECT c.relname, i.inhrelid FROM pg_class c JOIN pg_inherits i ON "
      "i.inhparent"
      " = c.oid WHERE " +
          in_schema +
          " UNION SELECT h.top, i.inhrelid FROM heir h JOIN pg_inherits i ON i.inhparent = h.oid)"
          " SELECT h.top, 'is inherited by ' || h.oid::regclass::text || ' of \"' ||"
          " pg_get_userbyid(c.relowner)::text || '\"\' FROM heir h JOIN pg_class c ON c.oid = h.oid WHERE c.relowner "
          "<> " +
          oid + " ORDER BY 1, 2",
      // From the strange functions to all that is made with them, and from there to the tables that such a thing is
      // part of.
      "WITH RECURSIVE strange (classid, objid, origin) AS (SELECT 'pg_proc'::regclass::oid, p.oid, p.oid FROM pg_proc p"
      " WHERE " +
          is_strange("p.proowner", owner) +
          // The type of a domain does not depend on its constraints, and other types may be made of that domain.
          " UNION SELECT n.classid, n.objid, s.origin FROM strange s CROSS JOIN LATERAL (SELECT d.classid, d.objid FROM"
          " pg_depend d WHERE d.refclassid = s.classid AND d.refobjid = s.objid AND d.deptype IN ('n', 'a', 'i') UNION "
          "ALL"
          " SELECT 'pg_type'::regclass::oid, k.contypid FROM pg_constraint k WHERE s.classid = "
          "'pg_constraint'::regclass"
          " AND k.oid = s.objid AND k.contypid <> 0::oid) n), part (tableid, origin) AS ("
          " SELECT coalesce(i.indrelid, x.objid), origin FROM strange x LEFT JOIN pg_index i ON i.indexrelid = x.objid"
          " WHERE x.classid = 'pg_class'::regclass"
          " UNION SELECT g.tgrelid, origin FROM strange x JOIN pg_trigger g ON g.oid = x.objid"
          " WHERE x.classid = 'pg_trigger'::regclass"
          " UNION SELECT a.adrelid, origin FROM strange x JOIN pg_attrdef a ON a.oid = x.objid"
          " WHERE x.classid = 'pg_attrdef'::regclass"
          " UNION SELECT k.conrelid, origin FROM strange x JOIN pg_constraint k ON k.oid = x.objid"
          " WHERE x.classid = 'pg_constraint'::regclass"
          " UNION SELECT p.polrelid, origin FROM strange x JOIN pg_policy p ON p.oid = x.objid"
          " WHERE x.classid = 'pg_policy'::regclass"
          " UNION SELECT r.ev_class, origin FROM strange x JOIN pg_rewrite r ON r.oid = x.objid"
          " WHERE x.classid = 'pg_rewrite'::regclass"
          " UNION SELECT t.stxrelid, origin FROM strange x JOIN pg_statistic_ext t ON t.oid = x.objid"
          " WHERE x.classid = 'pg_statistic_ext'::regclass), reached (tableid, origin) AS (SELECT tableid, origin FROM "
          "part"
          // What is read with a table or changed by its keys runs their code as well. A key's action runs with the
          // rights of the table that it changes: code of that table's own owner gains none.
          " UNION SELECT n.oid, p.origin FROM reached p JOIN pg_class t ON t.oid = p.tableid JOIN pg_proc f ON f.oid ="
          " p.origin CROSS JOIN LATERAL (SELECT i.inhparent AS oid FROM pg_inherits i WHERE i.inhrelid = t.oid UNION "
          "ALL"
          " SELECT k.confrelid FROM pg_constraint k WHERE k.conrelid = t.oid AND k.contype = 'f' AND t.relowner <>"
          " f.proowner AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd')) AND NOT " +
          is_known +
          ") n)"
          " SELECT c.relname, 'runs function ' || p.origin::regprocedure::text || ' of \"' ||"
          " pg_get_userbyid(f.proowner)::text || '\"\' FROM reached p JOIN pg_class c ON c.oid = p.tableid JOIN pg_proc"
          " f ON f.oid = p.origin WHERE " +
          in_schema + " ORDER BY 1, 2"};
}

std::map<std::string, std::string> untrusted_tables(const backend::Spi &spi, Oid schema, Oid owner) {
  std::map<std::string, std::string> reasons;
  for (const auto &sql : untrusted_sql(std::to_string(schema), std::to_string(owner)))
    for (auto &row : spi.query(sql))
      reasons.emplace(row[0].value_or(""), row[1].value_or(""));
  return reasons;
}

std::string shadows_sql(const std::vector<std::string> &path, const std::string &owner) {
  auto const schemas =
      "(SELECT oid FROM pg_namespace WHERE nspname = ANY (" + backend::array_literal(path) + "::name[]))";
  auto const known = "('pg_catalog'::regnamespace)";
  // Immich's own by the facts: what is missing here could be taken the place of as well.
  std::set<std::string> natives;
  for (const auto &fact : manifest::native_catalog())
    if (fact.kind == manifest::Kind::Function)
      natives.emplace(fact.name.substr(0, fact.name.find('(')));
  return "SELECT 'function ' || p.oid::regprocedure::text || ' of \"' || pg_get_userbyid(p.proowner)::text || '\"\'"
         " FROM pg_proc p WHERE p.pronamespace IN " +
         schemas + " AND " + is_strange("p.proowner", owner) + " AND (p.proname = ANY (" +
         backend::array_literal({natives.begin(), natives.end()}) +
         "::name[]) OR EXISTS (SELECT FROM pg_proc q WHERE q.proname = p.proname AND (q.pronamespace = " + known +
         " OR q.pronamespace IN " + schemas + " AND NOT (" + is_strange("q.proowner", owner) +
         ")))) UNION ALL SELECT 'operator ' || o.oid::regoperator::text || ' of \"' ||"
         " pg_get_userbyid(o.oprowner)::text || '\"\' FROM pg_operator o WHERE o.oprnamespace IN " +
         schemas + " AND " + is_strange("o.oprowner", owner) +
         " AND EXISTS (SELECT FROM pg_operator q WHERE q.oprname = o.oprname AND (q.oprnamespace = " + known +
         " OR q.oprnamespace IN " + schemas + " AND NOT (" + is_strange("q.oprowner", owner) +
         "))) UNION ALL SELECT 'function ' || p.oid::regprocedure::text || ' of \"' ||"
         " pg_get_userbyid(p.proowner)::text || '\", which event trigger ' || quote_ident(e.evtname) ||"
         " ' runs' FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid WHERE e.evtenabled IN ('O', 'A') AND " +
         is_strange("p.proowner", owner) + " ORDER BY 1";
}

std::vector<std::string> shadows(const backend::Spi &spi, const std::vector<std::string> &path, Oid owner) {
  std::vector<std::string> lines;
  for (auto &row : spi.query(shadows_sql(path, std::to_string(owner))))
    lines.push_back(row[0].value_or(""));
  return lines;
}

} // namespace gallery
