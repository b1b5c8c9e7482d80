// The commands of an advice, as text for a terminal.
#pragma once

#include <string>
#include <vector>

namespace gallery {

using Steps = std::vector<std::string>;

Steps operator+(Steps steps, const Steps &more);

/// Removes the server's containers, so that nobody else is in the database or comes back to it.
Steps stop_server();
Steps stop_and_preserve();
/// Sets the tag and starts.
Steps pin_and_start(const std::string &tag);
/// Takes DB_SKIP_MIGRATIONS out of .env.
Steps run_migrations_again();
/// As far as the page that restores; with a tag, what comes after it.
Steps restore_and_start(const std::string &tag);
/// Stops, preserves, shows the plan, runs a function that wants the token.
Steps run_with_token(const std::string &function);
/// The whole way back from Gallery, also what a revert leaves outside of the database: the names of the images, the
/// extension, the job queue.
Steps revert_and_start(const std::string &tag);
Steps let_gallery_finish();

/// The steps as one list of commands, in which each is run only if the one before it succeeded.
Steps chain(Steps steps);

} // namespace gallery
