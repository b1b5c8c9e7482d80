// The gallery.* settings.
#pragma once

#include <string>

namespace settings {

/// Defines the settings; called once when the module is loaded.
void define();

enum class Token {
  missing,  // not set
  wrong,    // set to something else
  standing, // right, but from the configuration file, the database or the role, where it stands for every session
  accepted,
};

/// State of gallery.revert_token in this session.
Token token();

/// State of gallery.return_token in this session.
Token return_token();

/// gallery.revert_target; empty means automatic.
std::string target();

/// gallery.revert_lock_timeout in milliseconds.
int lock_timeout();

/// gallery.revert_plan: the digests of the only plan that may run, a word for each step; empty means any.
std::string plan();

/// gallery.revert_ignore_sessions.
bool ignore_sessions();

/// gallery.revert_spaces: each space becomes an album.
bool spaces_become_albums();

/// gallery.revert_pets: pets that are people in Immich's tables stay people.
bool pets_stay_people();

/// gallery.revert_archive: what goes is written down first.
bool archives();

} // namespace settings
