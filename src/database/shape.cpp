// One question for each kind of thing.
#include "database/shape.hpp"

#include <algorithm>

namespace gallery {

namespace {

/// The names of a list of attribute numbers, one a line; columns whose names have line breaks are nobody's.
std::string names_of(const std::string &numbers, const std::string &relation) {
  return "(SELECT string_agg(a.attname::text, chr(10) ORDER BY x.place) FROM unnest(" + numbers +
         ") WITH ORDINALITY x(number, place) JOIN pg_attribute a ON a.attnum = x.number AND a.attrelid = " + relation +
         ")";
}

} // namespace

std::vector<std::string> lines_of(const backend::Field &field) {
  std::vector<std::string> lines;
  auto const &text = field.value_or("");
  for (std::size_t start = 0; start < text.size();) {
    auto const end = std::min(text.find('\n', start), text.size());
    lines.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return lines;
}

std::string ShapeColumn::is_initial(const std::string &row) const {
  auto const value = row + '.' + backend::identifier(name);
  return initial.empty() || is_clock() ? value + " IS NULL"
                                       : value + "::text IS NOT DISTINCT FROM (" + initial + ")::text";
}

const ShapeColumn *Shape::find(const std::string &column) const {
  auto const found =
      std::find_if(columns.begin(), columns.end(), [&](const ShapeColumn &c) { return c.name == column; });
  return found == columns.end() ? nullptr : &*found;
}

std::map<std::string, Shape> read_shapes(const backend::Spi &spi, Oid schema, const std::set<std::string> &tables) {
  std::map<std::string, Shape> shapes;
  auto const wanted = " c.relkind IN ('r', 'p') AND c.relnamespace = " + std::to_string(schema) +
                      "::oid AND c.relname = ANY (" + backend::array_literal({tables.begin(), tables.end()}) +
                      "::name[])";
  for (const auto &row :
       spi.query("SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated <> "
                 "'', CASE WHEN a.attidentity <> '' THEN 'nextval()' ELSE pg_get_expr(d.adbin, d.adrelid) END FROM"
                 " pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT"
                 " JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum WHERE" +
                 wanted + " ORDER BY 1, a.attnum"))
    shapes[row[0].value_or("")].columns.push_back(
        {row[1].value_or(""), row[2].value_or(""), row[5].value_or(""), row[3] == "t", row[4] == "t"});
  for (const auto &row :
       spi.query("SELECT c.relname, k.contype, k.confdeltype = 'n', p.relname, " + names_of("k.conkey", "k.conrelid") +
                 ", " + names_of("k.confkey", "k.confrelid") +
                 ", CASE WHEN k.contype = 'c' THEN pg_get_expr(k.conbin, k.conrelid) END FROM pg_constraint k JOIN"
                 " pg_class c ON c.oid = k.conrelid LEFT JOIN pg_class p ON p.oid = k.confrelid WHERE k.contype IN"
                 " ('p', 'f', 'c') AND (k.contype <> 'f' OR p.relnamespace = c.relnamespace) AND"
                 // A check of the whole row can only be asked by the table itself.
                 " (k.contype <> 'c' OR k.conkey IS NULL OR 0 <> ALL (k.conkey)) AND" +
                 wanted + " ORDER BY 1, k.conname")) {
    auto &shape = shapes[row[0].value_or("")];
    if (row[1] == "p")
      shape.primary = lines_of(row[4]);
    else if (row[1] == "c")
      shape.checks.push_back(row[6].value_or("true"));
    else
      shape.keys.push_back({lines_of(row[4]), row[3].value_or(""), lines_of(row[5]), row[2] == "t"});
  }
  for (const auto &row :
       spi.query("SELECT c.relname, i.relname, (SELECT string_agg(pg_get_indexdef(x.indexrelid, n, false), chr(10)"
                 " ORDER BY n) FROM generate_series(1, x.indnkeyatts) n), pg_get_expr(x.indpred, x.indrelid), (SELECT"
                 " string_agg(a.attname::text, chr(10)) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0"
                 " AND (a.attnum = ANY (x.indkey) OR EXISTS (SELECT FROM pg_depend d WHERE d.classid ="
                 " 'pg_class'::regclass AND d.objid = i.oid AND d.refobjid = c.oid AND d.refobjsubid = a.attnum))),"
                 // A column of PostgreSQL 15.
                 " to_jsonb(x.*) ->> 'indnullsnotdistinct'"
                 " FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid"
                 " WHERE x.indisunique AND NOT x.indisprimary AND x.indisvalid AND" +
                 wanted + " ORDER BY 1, 2")) {
    auto const columns = lines_of(row[4]);
    shapes[row[0].value_or("")].unique.push_back({row[1].value_or(""),
                                                  lines_of(row[2]),
                                                  row[3].value_or(""),
                                                  {columns.begin(), columns.end()},
                                                  row[5] == "true"});
  }
  for (const auto &row : spi.query("SELECT c.relname, g.tgname FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid"
                                   " WHERE NOT g.tgisinternal AND g.tgenabled = 'O' AND" +
                                   wanted + " ORDER BY 1, 2"))
    shapes[row[0].value_or("")].triggers.push_back(row[1].value_or(""));
  return shapes;
}

} // namespace gallery
