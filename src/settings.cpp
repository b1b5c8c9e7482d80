// Definition of the gallery.* settings, and where a token came from.
#include "settings.hpp"

#include "backend/compat.hpp"

#include <climits>

namespace settings {

namespace {

/// What has to be said in the session before something is changed.
struct TokenSetting {
  const char *accepted;
  char *value = nullptr; // the server writes it
  GucSource source = PGC_S_DEFAULT;
};

TokenSetting revert_setting{"i_accept_data_loss"};
TokenSetting return_setting{"i_know_what_i_do"};

// The server writes these.
char *target_value = nullptr;
char *plan_value = nullptr;
int lock_timeout_value = 5000;
bool ignore_sessions_value = false;
int spaces_value = 0;
int pets_value = 0;
bool archive_value = false;

// What becomes of what only Gallery knows: 0 is the default, that it goes.
constexpr config_enum_entry spaces_options[] = {{"drop", 0, false}, {"albums", 1, false}, {nullptr, 0, false}};
constexpr config_enum_entry pets_options[] = {{"drop", 0, false}, {"people", 1, false}, {nullptr, 0, false}};

/// Remembers with a new value where it came from; the server keeps `extra` with the value, also across rollbacks.
bool check_token(char **, void **extra, GucSource source) {
  auto *remembered = static_cast<GucSource *>(compat::setting_extra(sizeof(GucSource)));
  if (remembered == nullptr)
    return false;
  *remembered = source;
  *extra = remembered;
  return true;
}

template <TokenSetting &setting>
void assign_token(const char *, void *extra) {
  if (extra != nullptr)
    setting.source = *static_cast<GucSource *>(extra);
}

Token state_of(const TokenSetting &setting) {
  if (setting.value == nullptr || *setting.value == '\0')
    return Token::missing;
  if (std::strcmp(setting.value, setting.accepted) != 0)
    return Token::wrong;
  return setting.source == PGC_S_SESSION || setting.source == PGC_S_CLIENT ? Token::accepted : Token::standing;
}

} // namespace

void define() {
  DefineCustomStringVariable(
      "gallery.revert_token", "Must be i_accept_data_loss, set in this session, for gallery_revert() to run.",
      "What only Gallery knew is lost by a revert. A value from the configuration file, the database or the "
      "role is refused.",
      &revert_setting.value, "", PGC_USERSET, 0, check_token, assign_token<revert_setting>, nullptr);
  DefineCustomStringVariable(
      "gallery.return_token", "Must be i_know_what_i_do, set in this session, for gallery_return() to run.",
      "Rows of Gallery's come back into its tables. A value from the configuration file, the database or the role is "
      "refused.",
      &return_setting.value, "", PGC_USERSET, 0, check_token, assign_token<return_setting>, nullptr);
  DefineCustomStringVariable("gallery.revert_target",
                             "Immich release to switch to, for example v2.7.5; empty chooses it.",
                             "Empty means the newest patch of the earliest release line that fits the database.",
                             &target_value, "", PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomStringVariable("gallery.revert_plan",
                             "Digests of the steps of the only plan that gallery_revert() may run; empty: any.",
                             "The column digest of gallery_revert_plan(), from the first step to the last.",
                             &plan_value, "", PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("gallery.revert_lock_timeout",
                          "Total time gallery_revert() spends trying to get all of its locks.",
                          "When it is over the sessions in the way are named and nothing has changed.",
                          &lock_timeout_value, 5000, 0, INT_MAX, PGC_USERSET, GUC_UNIT_MS, nullptr, nullptr, nullptr);
  DefineCustomBoolVariable("gallery.revert_ignore_sessions",
                           "Lets gallery_revert() go on although other clients are connected.",
                           "Locks still protect the tables. A server that goes on running on the database will fail.",
                           &ignore_sessions_value, false, PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomEnumVariable("gallery.revert_spaces",
                           "What becomes of shared spaces: drop, or albums of Immich's with their members and photos.",
                           nullptr, &spaces_value, 0, spaces_options, PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomEnumVariable("gallery.revert_pets",
                           "What becomes of pets that are people in Immich's tables: drop, or stay people.", nullptr,
                           &pets_value, 0, pets_options, PGC_USERSET, 0, nullptr, nullptr, nullptr);
  DefineCustomBoolVariable(
      "gallery.revert_archive", "Writes what gallery_revert() removes or overwrites into schema gallery_archive first.",
      "Only the owner of Immich's tables can read it. DROP SCHEMA gallery_archive CASCADE takes it "
      "away.",
      &archive_value, false, PGC_USERSET, 0, nullptr, nullptr, nullptr);
  compat::reserve_setting_prefix("gallery");
}

Token token() {
  return state_of(revert_setting);
}

Token return_token() {
  return state_of(return_setting);
}

std::string target() {
  return target_value == nullptr ? std::string() : std::string(target_value);
}

std::string plan() {
  return plan_value == nullptr ? std::string() : std::string(plan_value);
}

int lock_timeout() {
  return lock_timeout_value;
}

bool ignore_sessions() {
  return ignore_sessions_value;
}

bool spaces_become_albums() {
  return spaces_value != 0;
}

bool pets_stay_people() {
  return pets_value != 0;
}

bool archives() {
  return archive_value;
}

} // namespace settings
