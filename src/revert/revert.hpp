// The two functions that change something, without their SQL clothes.
#pragma once

#include <string>

namespace gallery {

/// gallery_revert(): does everything, returns the image tag to pin. Throws Refusal where a check blocks.
std::string revert();

/// immich_repair_migration_order(): repairs the ledger of a plain Immich database, under the same checks and locks;
/// returns the image tag to pin.
std::string repair_ledger();

} // namespace gallery
