// Every difference between PostgreSQL 14 and 18 that this module meets, one shim each.
#pragma once

#include "backend/postgres.hpp"

#include <cstdlib>

extern "C" {
#include "utils/guc.h"
}

namespace compat {

/// Reserves a prefix of settings, so that a misspelt one is an error. PostgreSQL 14 has nothing like it: there, names
/// that were set before the library was loaded are warned of, and a misspelt one is accepted from then on.
inline void reserve_setting_prefix(const char *prefix) {
#if PG_VERSION_NUM >= 150000
  MarkGUCPrefixReserved(prefix);
#else
  EmitWarningsOnPlaceholders(prefix);
#endif
}

/// Memory for the `extra` value of a setting's check hook: malloc'd before PostgreSQL 16, guc_malloc'd from then on.
/// Returns null when there is none.
inline void *setting_extra(std::size_t size) {
#if PG_VERSION_NUM >= 160000
  return guc_malloc(LOG, size);
#else
  return std::malloc(size);
#endif
}

} // namespace compat

// The module's magic block; from PostgreSQL 18 on it also tells the module's name and version.
#if PG_VERSION_NUM >= 180000
#define COMPAT_MODULE_MAGIC(module) PG_MODULE_MAGIC_EXT(.name = module, .version = GALLERY_REVERT_VERSION)
#else
#define COMPAT_MODULE_MAGIC(module) PG_MODULE_MAGIC
#endif
