// Which function was called: hints name it, and not every check is for all of them.
#pragma once

#include <string>

namespace gallery {

struct Call {
  const char *function; // without parentheses
  bool reverts = false; // takes a Gallery back: checks whatever has to do with Gallery

  /// "then run gallery_revert() again", for a hint.
  [[nodiscard]] std::string again() const { return std::string("then run ") + function + "() again"; }
};

inline constexpr Call revert_call{"gallery_revert", true};
inline constexpr Call repair_call{"immich_repair_migration_order"};
inline constexpr Call return_call{"gallery_return"};
inline constexpr Call return_plan_call{"gallery_return_plan"};
inline constexpr Call check_call{"gallery_revert_check"};
inline constexpr Call plan_call{"gallery_revert_plan"};
inline constexpr Call script_call{"gallery_revert_script", true};
inline constexpr Call losses_call{"gallery_revert_losses"};
inline constexpr Call list_call{"gallery_archive_list"};
inline constexpr Call status_call{"gallery_revert_status"};
inline constexpr Call inventory_call{"immich_inventory"};
inline constexpr Call advice_call{"immich_recovery_advice"};

} // namespace gallery
