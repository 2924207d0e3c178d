#include <fmt/format.h>

#include <cerrno>

#include "base/config.h"
#include "base/log.h"
#include "base/metrics.h"
#include "mon/command_tables.h"
#include "mon/decider.h"
#include "mon/dump.h"
#include "mon/session.h"

/// What `ceph tell mon.ID` and `ceph daemon mon.ID` offer: things about this one process.
namespace spirula::mon {
namespace {

CommandResult version(const CommandCall& call) {
  if (call.is_plain()) return CommandResult::print(std::string(own_version()) + "\n");
  return call.json(JsonObject{{"version", own_version()}, {"release", "pacific"}, {"release_type", "stable"}});
}

CommandResult mon_status(const CommandCall& call) {
  return call.json(JsonObject{{"name", call.around.config.id()},
                              {"rank", 0},
                              {"state", "leader"},
                              {"election_epoch", 1},
                              {"quorum", JsonArray{0}},
                              {"quorum_age", static_cast<std::uint64_t>(call.around.uptime_seconds)},
                              {"outside_quorum", JsonArray{}},
                              {"decision", call.around.decider.sequence()},
                              {"monmap", dump(call.state.mon().map())}});
}

CommandResult sessions(const CommandCall& call) {
  JsonArray list;
  for (const auto& session : call.around.sessions.all()) {
    JsonArray subscriptions;
    for (const auto& [what, wanted] : session->subscriptions)
      subscriptions.push_back(JsonObject{{"what", what}, {"next", wanted.next}, {"onetime", wanted.onetime}});
    list.push_back(JsonObject{{"entity_name", session->name().describe()},
                              {"name", session->connection->peer_name().describe()},
                              {"global_id", session->connection->identity().global_id},
                              {"addr", session->connection->peer_address().describe()},
                              {"secure", session->connection->is_secure()},
                              {"subscriptions", subscriptions}});
  }
  return call.json(list);
}

CommandResult config_show(const CommandCall& call) {
  JsonObject out;
  for (const auto& [name, value] : call.around.config.show()) out[name] = value;
  return call.json(out);
}

CommandResult config_get(const CommandCall& call) {
  std::string name = call.arguments.text("var");
  if (!call.around.config.knows(name))
    return CommandResult::fail(-ENOENT, fmt::format("error getting '{}': (2) No such file or directory", name));
  return call.json(JsonObject{{name, call.around.config.text(name)}});
}

CommandResult perf_dump(const CommandCall& call) {
  return CommandResult::print(call.around.metrics.to_json());
}

CommandResult log_reopen(const CommandCall& call) {
  std::string path = call.around.config.text("log_file");
  if (!path.empty() && !log_to_file(path.c_str())) return CommandResult::fail(-EIO, "cannot open " + path);
  return {};
}

constexpr CommandRow rows[] = {
    {"version", "show the version of this daemon", "mon", "r", version},
    {"mon_status", "show how this monitor is", "mon", "r", mon_status},
    {"sessions", "list who is connected", "mon", "r", sessions},
    {"config show", "show every option and its value", "mon", "r", config_show},
    {"config get name=var,type=CephString", "show an option's value", "mon", "r", config_get},
    {"perf dump", "show counters", "mon", "r", perf_dump},
    {"log reopen", "open the log file anew", "mon", "rw", log_reopen},
};

}  // namespace

std::span<const CommandRow> tell_rows() {
  return rows;
}

}  // namespace spirula::mon
