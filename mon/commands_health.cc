#include <fmt/format.h>

#include <cerrno>

#include "base/config.h"
#include "mon/command_tables.h"
#include "mon/health.h"
#include "mon/osd_edit.h"

/// How the cluster is, and which of its checks are muted.
namespace spirula::mon {
namespace {

CommandResult health(const CommandCall& call) {
  auto health = assess(call.state, call.around);
  bool detail = call.arguments.has("detail");
  if (!call.is_plain()) return call.json(dump(health, detail));
  return CommandResult::print(print(health, detail, call.around.now) + (detail ? "" : "\n"));
}

CommandResult mute(const CommandCall& call, Draft& draft) {
  std::string code = call.arguments.text("code");
  HealthMute mute;
  mute.sticky = call.arguments.flag("sticky");
  if (call.arguments.has("ttl")) {
    auto seconds = parse_seconds(call.arguments.text("ttl"));
    if (!seconds || *seconds <= 0)
      return CommandResult::fail(-EINVAL, fmt::format("not a valid duration: {}", call.arguments.text("ttl")));
    mute.until = later(call.around.now, *seconds);
  }
  auto health = assess(draft.state(), call.around);
  auto check = health.checks.find(code);
  if (check != health.checks.end()) {
    mute.summary = check->second.summary;
    mute.count = check->second.count;
  } else if (!mute.sticky) {
    return CommandResult::fail(-ENOENT, fmt::format("health alert {} is not currently raised", code));
  }
  auto drafted = draft.change<HealthService>({{{code, mute}}, {}});
  return drafted ? CommandResult{} : CommandResult::fail(drafted.error(), "");
}

CommandResult unmute(const CommandCall& call, Draft& draft) {
  HealthService::Change change;
  for (const auto& [code, mute] : draft->health().mutes())
    if (!call.arguments.has("code") || call.arguments.text("code") == code) change.removed.insert(code);
  if (change.removed.empty()) return {};
  auto drafted = draft.change<HealthService>(change);
  return drafted ? CommandResult{} : CommandResult::fail(drafted.error(), "");
}

constexpr CommandRow rows[] = {
    {"health name=detail,type=CephChoices,strings=detail,req=false", "show cluster health", "mon", "r", health},
    {"health mute name=code,type=CephString name=ttl,type=CephString,req=false "
     "name=sticky,type=CephBool,req=false",
     "hear no more of a health check: for a while, or until it is over or gets worse", "mon", "w", nullptr, mute},
    {"health unmute name=code,type=CephString,req=false", "hear of it again", "mon", "w", nullptr, unmute},
};

}  // namespace

std::span<const CommandRow> health_commands() {
  return rows;
}

}  // namespace spirula::mon
