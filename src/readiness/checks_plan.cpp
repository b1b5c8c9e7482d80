// The check that the plan is the one that was looked at.
#include "readiness/checks.hpp"

#include "settings.hpp"

#include <algorithm>

namespace gallery {

namespace {

/// The words of a text, whatever stands between them.
std::vector<std::string> words_of(std::string_view text) {
  constexpr const char *between = " \t\r\n,;";
  std::vector<std::string> words;
  for (auto start = text.find_first_not_of(between); start != std::string_view::npos;) {
    auto const end = std::min(text.find_first_of(between, start), text.size());
    words.emplace_back(text.substr(start, end - start));
    start = text.find_first_not_of(between, end);
  }
  return words;
}

std::string steps_text(std::size_t count) {
  return std::to_string(count) + (count == 1 ? " step" : " steps");
}

/// What the first difference is. There is one.
std::string first_difference(const std::vector<std::string> &wanted, const std::vector<Step> &steps) {
  std::size_t same = 0;
  while (same < wanted.size() && same < steps.size() && wanted[same] == steps[same].digest)
    ++same;
  if (same == steps.size())
    return "This plan ends after " + steps_text(same) + ", that of the setting has " + steps_text(wanted.size()) + '.';
  const auto &step = steps[same];
  return "The first step that differs is " + std::to_string(same + 1) + " of " + std::to_string(steps.size()) + ": " +
         step.phase + ", " + step.kind + ' ' + step.object + " (" + step.reason + ")." +
         (same < wanted.size() ? "" : " That of the setting ends before it.");
}

} // namespace

Finding check_plan(const Plan &plan, const Call &shown) {
  constexpr const char *name = "plan";
  auto const setting = settings::plan();
  auto const wanted = words_of(setting);
  if (setting.empty())
    return ok(name, "gallery.revert_plan is not set, so any plan may run");
  if (std::equal(wanted.begin(), wanted.end(), plan.steps.begin(), plan.steps.end(),
                 [](const std::string &digest, const Step &step) { return digest == step.digest; }))
    return ok(name, "the plan is the one of gallery.revert_plan");
  return blocked(name, ERRCODE_E_R_E_MODIFYING_SQL_DATA_NOT_PERMITTED, "the plan is not the one of gallery.revert_plan",
                 first_difference(wanted, plan.steps),
                 std::string("Nothing has changed. Look at SELECT * FROM ") + shown.function +
                     "(); again. If that is what you want, run: SELECT set_config('gallery.revert_plan', "
                     "string_agg(digest, ' ' ORDER "
                     "BY step), false) FROM " +
                     shown.function + "();");
}

} // namespace gallery
