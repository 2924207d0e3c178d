#include <boost/json.hpp>

#include "base/coroutine.h"
#include "base/json.h"
#include "base/log.h"
#include "base/promise.h"
#include "osd/osd.h"

/// What people ask the daemon: over the admin socket and with `ceph tell`.
namespace spirula::osd {
namespace json = boost::json;

std::string Osd::status() const {
  json::object all;
  const Superblock& superblock = history_.superblock();
  all["cluster_fsid"] = superblock.cluster.describe();
  all["osd_fsid"] = superblock.store.describe();
  all["whoami"] = whoami_;
  all["state"] = serving_ ? "active" : link_.is_logged_in() ? "booting" : "initializing";
  all["oldest_map"] = superblock.oldest_map.value;
  all["newest_map"] = superblock.newest_map.value;
  all["num_pgs"] = commons_.pg_count.load();
  return json::serialize(all);
}

Task<std::string> Osd::operations_in_flight() {
  struct Row {
    std::string text, stage;
    double age;
  };
  json::array ops;
  MonotonicTime now = home_.clock().now();
  for (auto& shard : shards_) {
    PgShard* pgs = shard.get();
    auto look = [pgs, now] {
      std::vector<Row> rows;
      pgs->for_each_operation([&](const ClientOp& op) {
        if (rows.size() < limits::operations_shown_max)
          rows.push_back({op.describe(), op.stage, std::chrono::duration<double>(now - op.received).count()});
      });
      return rows;
    };
    Promise<std::vector<Row>> answer;
    if (pgs->shard().here())
      answer.set(look());
    else
      pgs->shard().post([this, look, answer]() mutable {
        home_.post([answer, rows = look()]() mutable { answer.set(std::move(rows)); });
      });
    auto rows = co_await answer.get();
    if (!rows) break;
    for (const Row& row : *rows)
      ops.push_back(json::object{{"description", row.text},
                                 {"age", row.age},
                                 {"duration", row.age},
                                 {"type_data", json::object{{"flag_point", row.stage}}}});
  }
  json::object all;
  auto count = ops.size();
  all["ops"] = std::move(ops);
  all["num_ops"] = count;
  co_return json::serialize(all);
}

/// One command by name; Errc::unsupported if there is none such.
Task<Result<std::string>> Osd::run_command(std::map<std::string, std::string> arguments) {
  const std::string prefix = arguments["prefix"];
  if (prefix == "status") co_return status();
  if (prefix == "version") co_return json::serialize(json::object{{"version", maps::version_text}});
  if (prefix == "perf dump") co_return metrics_.to_json();
  if (prefix == "config show") {
    json::object all;
    for (const auto& [name, value] : config_.show()) all[name] = value;
    co_return json::serialize(all);
  }
  if (prefix == "config get") {
    const std::string& name = arguments["var"];
    if (!config_.knows(name)) co_return Errc::not_found;
    auto all = config_.show();
    co_return json::serialize(json::object{{name, all[name]}});
  }
  if (prefix == "config set") {
    CO_TRY(config_.set(arguments["var"], arguments["val"]));
    co_return std::string("{\"success\": \"\"}\n");
  }
  if (prefix == "dump_ops_in_flight" || prefix == "ops") {
    std::string text = co_await operations_in_flight();
    co_return text;
  }
  if (prefix == "flush_pg_stats") {
    complete_beacon_ = true;
    co_return std::string("0\n");
  }
  if (prefix == "verify start") {
    verifier_.begin_now();
    co_return verifier_.status();
  }
  if (prefix == "verify status") co_return verifier_.status();
  co_return Errc::unsupported;
}

void Osd::add_admin_commands() {
  std::string path = config_.text("admin_socket");
  if (path.empty()) return;
  auto socket = msg::AdminSocket::open(home_, path);
  if (!socket) {
    log_warning("osd", "admin socket {}: {}", path, socket.error().message());
    return;
  }
  admin_ = std::move(*socket);
  struct Row {
    const char *command, *arguments, *help;
  };
  static constexpr Row rows[] = {
      {"status", "", "high-level status of OSD"},
      {"version", "", "get ceph version"},
      {"perf dump", "", "dump perfcounters value"},
      {"config show", "", "dump current config settings"},
      {"config get", "name=var,type=CephString", "config get <field>: get the config value"},
      {"config set", "name=var,type=CephString name=val,type=CephString", "config set <field> <val>"},
      {"dump_ops_in_flight", "", "show the ops currently in flight"},
      {"ops", "", "show the ops currently in flight"},
      {"flush_pg_stats", "", "flush pg stats"},
      {"verify start", "", "read and verify every object on the disk, from now on"},
      {"verify status", "", "how far verification has come, and what it has found"},
  };
  for (const Row& row : rows)
    admin_->add(row.command, row.arguments, row.help,
                [this, name = std::string(row.command)](
                    std::map<std::string, std::string> arguments) -> Task<Result<std::string>> {
                  arguments["prefix"] = name;
                  return run_command(std::move(arguments));
                });
}

void Osd::on_command(const msg::ConnectionRef& connection, ClientSession& session, std::uint64_t tid,
                     msg::Command command) {
  auto answer = [connection, tid](std::int32_t result, std::string text, std::string output) {
    msg::CommandReply reply;
    reply.result = result;
    reply.text = std::move(text);
    reply.data = BufferList(Buffer::copy_of(output));
    connection->send(msg::make_message(reply, tid));
  };
  if (!session.caps.allows_all()) return answer(-EACCES, "access denied", "");
  std::map<std::string, std::string> arguments;
  boost::system::error_code problem;
  json::value parsed = command.command.empty() ? json::value{} : json::parse(command.command.front(), problem);
  if (problem || !parsed.is_object()) return answer(-EINVAL, "a command is one JSON object", "");
  for (const auto& [name, value] : parsed.as_object())
    if (value.is_string()) arguments.emplace(name, value.as_string().c_str());
  if (arguments["prefix"] == "get_command_descriptions") {
    json::object all;
    int number = 0;
    for (const char* name : {"status", "version", "perf dump", "config show", "dump_ops_in_flight", "flush_pg_stats",
                             "verify start", "verify status"}) {
      json::array signature;
      for (std::string_view rest = name; !rest.empty();) {
        auto end = std::min(rest.find(' '), rest.size());
        signature.emplace_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
      all[fmt::format("cmd{:03}", number++)] =
          json::object{{"sig", signature}, {"help", name}, {"module", "osd"}, {"perm", "r"}, {"flags", 0}};
    }
    return answer(0, "", json::serialize(all));
  }
  home_.post([this, arguments = std::move(arguments), answer]() mutable {
    auto run = [](Osd& osd, std::map<std::string, std::string> what, decltype(answer) reply) -> Task<> {
      const std::string format = what["format"];
      auto output = co_await osd.run_command(std::move(what));
      if (output)
        reply(0, "", shape_json(*output, format));
      else
        reply(output.error() == make_error_code(Errc::unsupported) ? -EINVAL : to_wire(output.error()),
              output.error().message(), "");
    };
    if (!stopping_) tasks_.spawn(run(*this, std::move(arguments), answer));
  });
}

}  // namespace spirula::osd
