#include <fmt/format.h>

#include <boost/json.hpp>
#include <cerrno>

#include "base/coroutine.h"
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

/// `ceph pg ID NAME`, which stock clients send to the PG's primary; on the shard where the PG lives.
Task<msg::DaemonCommands::Answer> Osd::pg_command(std::string name, msg::DaemonCommands::Arguments arguments) {
  using Answer = msg::DaemonCommands::Answer;
  auto pg = msg::PgId::parse(arguments["pgid"]);
  if (!pg) co_return Answer{.result = -EINVAL, .text = "couldn't parse pgid '" + arguments["pgid"] + "'"};
  Promise<Answer> promise;
  auto run = [](Shard& home, PgShard& shard, PgId pg, std::string name, msg::DaemonCommands::Arguments given,
                Promise<Answer> done) -> Task<> {
    Answer answer = co_await shard.command(pg, std::move(name), std::move(given));
    home.post([done, answer = std::move(answer)]() mutable { done.set(std::move(answer)); });
  };
  unsigned index = PgShard::index_of(*pg, commons_.count);
  run_on(index, run(home_, *shards_[index], *pg, std::move(name), std::move(arguments), promise));
  auto answer = co_await promise.get();
  if (!answer) co_return Answer{.result = to_wire(answer.error()), .text = answer.error().message()};
  co_return std::move(*answer);
}

void Osd::add_admin_commands() {
  using Arguments = msg::DaemonCommands::Arguments;
  using Answer = msg::DaemonCommands::Answer;
  msg::DaemonCommands& commands = admin_.commands();
  // Each in two forms: `ceph tell PGID query`, and `ceph pg PGID query` where the prefix is "pg".
  struct PgCommand {
    const char *name, *more, *help;
  };
  constexpr PgCommand of_pgs[] = {
      {"query", "", "show details of a specific pg"},
      {"list_unfound", " name=offset,type=CephString,req=false",
       "list unfound objects on this pg, perhaps starting at an offset given in JSON"},
      {"mark_unfound_lost", " name=mulcmd,type=CephChoices,strings=revert|delete",
       "mark all unfound objects in this pg as lost, either removing or reverting to a prior version if one is "
       "available"},
  };
  for (const PgCommand& each : of_pgs)
    commands.add_full(each.name, std::string("name=pgid,type=CephPgid,req=false") + each.more, each.help,
                      [this, name = each.name](Arguments arguments) -> Task<Answer> {
                        co_return co_await pg_command(name, std::move(arguments));
                      });
  commands.add_full("pg", std::string("name=pgid,type=CephPgid name=cmd,type=CephChoices,strings=query"), "",
                    [this](Arguments arguments) -> Task<Answer> {
                      std::string name = arguments["cmd"];
                      co_return co_await pg_command(std::move(name), std::move(arguments));
                    });
  for (const PgCommand& each : {of_pgs[1], of_pgs[2]})
    commands.add_form(
        "pg", fmt::format("name=pgid,type=CephPgid name=cmd,type=CephChoices,strings={}{}", each.name, each.more));
  commands.add("status", "", "high-level status of OSD",
               [this](Arguments) -> Task<Result<std::string>> { co_return status(); });
  commands.add("perf dump", "", "dump perfcounters value",
               [this](Arguments) -> Task<Result<std::string>> { co_return metrics_.to_json(); });
  for (const char* name : {"dump_ops_in_flight", "ops"})
    commands.add(name, "", "show the ops currently in flight",
                 [this](Arguments) -> Task<Result<std::string>> { co_return co_await operations_in_flight(); });
  commands.add("flush_pg_stats", "", "flush pg stats", [this](Arguments) -> Task<Result<std::string>> {
    complete_beacon_ = true;
    co_return std::string("0\n");
  });
  commands.add("verify start", "", "read and verify every object on the disk, from now on",
               [this](Arguments) -> Task<Result<std::string>> {
                 verifier_.begin_now();
                 co_return verifier_.status();
               });
  commands.add("verify status", "", "how far verification has come, and what it has found",
               [this](Arguments) -> Task<Result<std::string>> { co_return verifier_.status(); });
  admin_.open();
}

}  // namespace spirula::osd
