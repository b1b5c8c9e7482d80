// gallery_revert_script(): the plan as one file for plain psql.
#pragma once

#include <string>

namespace gallery {

/// Runs and proves the plan in this database (a copy; the caller undoes it all), and writes it down for the database
/// that it is a copy of: for a server where no extension can be installed. Throws as gallery_revert() does, and where
/// there is nothing to revert.
std::string write_script();

} // namespace gallery
