#include "msg/pg_state.h"

#include "msg/daemon_messages.h"

namespace spirula::msg {
namespace {

using namespace pg_state;

struct StateName {
  std::uint64_t bit;
  const char* name;
};
/// In the order of Ceph's pg_state_string.
constexpr StateName state_names[] = {
    {stale, "stale"},
    {creating, "creating"},
    {active, "active"},
    {activating, "activating"},
    {clean, "clean"},
    {recovery_wait, "recovery_wait"},
    {recovery_toofull, "recovery_toofull"},
    {recovering, "recovering"},
    {down, "down"},
    {recovery_unfound, "recovery_unfound"},
    {backfill_unfound, "backfill_unfound"},
    {undersized, "undersized"},
    {degraded, "degraded"},
    {remapped, "remapped"},
    {scrubbing, "scrubbing"},
    {deep_scrub, "deep"},
    {inconsistent, "inconsistent"},
    {peering, "peering"},
    {repair, "repair"},
    {backfill_wait, "backfill_wait"},
    {backfilling, "backfilling"},
    {backfill_toofull, "backfill_toofull"},
    {incomplete, "incomplete"},
    {peered, "peered"},
    {snaptrim, "snaptrim"},
    {snaptrim_wait, "snaptrim_wait"},
    {snaptrim_error, "snaptrim_error"},
    {failed_repair, "failed_repair"},
};

}  // namespace

std::string describe_pg_state(std::uint64_t state) {
  std::string text;
  for (const auto& each : state_names)
    if (state & each.bit) text += (text.empty() ? "" : "+") + std::string(each.name);
  return text.empty() ? "unknown" : text;
}

std::optional<std::uint64_t> pg_state_by_name(std::string_view name) {
  for (const auto& each : state_names)
    if (name == each.name) return each.bit;
  return std::nullopt;
}

}  // namespace spirula::msg
