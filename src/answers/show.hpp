// The functions that only read, without their SQL clothes: each adds its rows to a result.
#pragma once

#include "backend/result_set.hpp"

namespace gallery {

void show_plan(backend::ResultSet &result);         // gallery_revert_plan()
void show_losses(backend::ResultSet &result);       // gallery_revert_losses()
void show_archive_list(backend::ResultSet &result); // gallery_archive_list()
void show_status(backend::ResultSet &result);       // gallery_revert_status()
void show_manifest(backend::ResultSet &result);     // gallery_revert_manifest()
void show_check(backend::ResultSet &result);        // gallery_revert_check()
void show_inventory(backend::ResultSet &result);    // immich_inventory()

/// immich_recovery_advice(target)
void show_advice(backend::ResultSet &result, const std::optional<std::string> &target);

} // namespace gallery
