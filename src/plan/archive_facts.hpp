// What the archive says beside the rows: what this database was, and how what goes was made.
#pragma once

#include "plan/plan.hpp"

namespace gallery {

/// A query for facts of one run: its columns are those of the table.
struct FactsQuery {
  std::string object;
  std::string reason;
  std::string query;
};

/// The number of the run that is being written down, as SQL; there from the first of these queries on.
std::string this_run();

/// In the order in which they have to run.
std::vector<FactsQuery> archived_queries(const backend::Spi &spi, const Survey &survey, const Identity &identity,
                                         const Plan &plan);

} // namespace gallery
