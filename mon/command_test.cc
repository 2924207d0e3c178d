#include "mon/command.h"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <cerrno>
#include <tuple>

#include "base/config.h"
#include "base/metrics.h"
#include "mon/cluster_log.h"
#include "mon/cluster_stats.h"
#include "mon/config_location.h"
#include "mon/decider.h"
#include "mon/health.h"
#include "mon/mds_watch.h"
#include "mon/options.h"
#include "mon/osd_edit.h"
#include "mon/session.h"
#include "mon/test_state.h"
#include "mon/test_storage.h"

namespace spirula::mon {
namespace {

/// Runs commands against a state in memory, as Monitor::execute() does.
struct CommandTest : testing::Test, TestState {
  ShardThread shard{"test"};
  Config config{"mon", "a"};
  ClusterStats stats;
  SessionList sessions;
  Metrics metrics;
  MemoryStorage::Disk disk;
  std::unique_ptr<Decider> decider;
  std::unique_ptr<ClusterLog> log;
  std::unique_ptr<MdsWatch> mds;
  std::uint64_t sequence = 0;

  CommandTest() {
    config.add(options());
    auto storage = std::make_unique<MemoryStorage>(disk);
    EXPECT_TRUE(DecisionLog::create(*storage, state.save()));
    DecisionLog::Restored restored;
    auto opened = DecisionLog::open(std::move(storage), restored);
    EXPECT_TRUE(opened);
    decider = std::make_unique<Decider>(shard.shard(), std::move(*opened), state);
    log = std::make_unique<ClusterLog>(shard.shard(), *decider, "a");
    mds = std::make_unique<MdsWatch>(shard.shard(), *decider, config, *log);
  }

  CommandResult run(const std::string& json, const std::string& input = {}) {
    ParsedCommand command;
    CommandTable::Problem problem;
    if (!all_commands().parse(json, command, problem)) return CommandResult::fail(problem.result, problem.text);
    Surroundings around{now, {}, 1.0, system_random(), config, options(), stats, *mds, sessions, *decider, metrics};
    CommandResult result;
    auto call = [&](const State& seen, auto&& function) {
      CommandCall made{seen, around, command.arguments, command.format, input, "client.admin", json};
      result = function(made);
    };
    if (command.row->read) {
      call(state, command.row->read);
      return result;
    }
    auto decided = decide([&](Draft& draft) -> Result<> {
      State before = draft.state();
      call(before, [&](const CommandCall& made) { return command.row->change(made, draft); });
      return result.result < 0 ? Result<>(Errc::invalid) : Result<>();
    });
    (void)decided;
    return result;
  }
};

TEST_F(CommandTest, descriptions_are_what_the_ceph_command_reads) {
  auto parsed = boost::json::parse(all_commands().descriptions());
  std::size_t arguments = 0;
  for (const auto& member : parsed.as_object()) {
    EXPECT_TRUE(member.key().starts_with("cmd"));
    const auto& row = member.value().as_object();
    for (auto key : {"sig", "help", "module", "perm", "flags"}) EXPECT_TRUE(row.contains(key)) << member.key();
    for (const auto& part : row.at("sig").as_array()) {
      if (part.is_string()) continue;
      ++arguments;
      EXPECT_TRUE(part.as_object().contains("name"));
      EXPECT_TRUE(part.as_object().contains("type"));
    }
  }
  EXPECT_GT(parsed.as_object().size(), 150u);
  EXPECT_GT(arguments, 150u);
}

TEST_F(CommandTest, malformed_requests_are_refused_in_words) {
  for (auto json :
       {"", "{", "[]", "{}", "{\"prefix\": 3}", "{\"prefix\": \"no such thing\"}", "{\"prefix\": \"osd pool create\"}",
        "{\"prefix\": \"osd pool create\", \"pool\": {}}",
        "{\"prefix\": \"osd pool create\", \"pool\": \"x\", \"pg_num\": \"many\"}",
        "{\"prefix\": \"osd pool create\", \"pool\": \"x\", \"pg_num\": -1}",
        "{\"prefix\": \"osd set\", \"key\": \"everything\"}", "{\"prefix\": \"status\", \"format\": \"xml\"}",
        "{\"prefix\": \"pg map\", \"pgid\": \"nonsense\"}", "{\"prefix\": \"osd new\", \"uuid\": \"1\"}"}) {
    auto result = run(json);
    EXPECT_EQ(result.result, -EINVAL) << json;
    EXPECT_FALSE(result.text.empty()) << json;
  }
}

TEST_F(CommandTest, what_is_not_carried_out_says_why) {
  for (const char* prefix : {"mon add", "osd tier add", "pg scrub", "osd pool repair", "pg force-recovery"}) {
    auto refused = run(fmt::format(R"({{"prefix": "{}", "any": 5}})", prefix));
    EXPECT_EQ(refused.result, -EOPNOTSUPP) << prefix;
    EXPECT_TRUE(refused.text.starts_with(fmt::format("'{}' is not supported: ", prefix))) << refused.text;
  }
}

TEST_F(CommandTest, every_reading_command_runs_in_every_format) {
  ASSERT_TRUE(boot(0, 6800));
  run(R"({"prefix": "osd pool create", "pool": "p", "pg_num": 4})");
  auto parsed = boost::json::parse(all_commands().descriptions());
  for (const auto& member : parsed.as_object()) {
    const auto& row = member.value().as_object();
    std::string prefix;
    JsonObject request;
    for (const auto& part : row.at("sig").as_array()) {
      if (part.is_string()) {
        prefix += (prefix.empty() ? "" : " ") + std::string(part.as_string());
        continue;
      }
      const auto& parameter = part.as_object();
      if (parameter.contains("req")) continue;
      std::string type(parameter.at("type").as_string());
      std::string name(parameter.at("name").as_string());
      if (type == "CephInt" || type == "CephFloat" || type == "CephOsdName") {
        request[name] = 0;
      } else if (type == "CephChoices") {
        std::string choices(parameter.at("strings").as_string());
        request[name] = choices.substr(0, choices.find('|'));
      } else {
        request[name] = type == "CephPgid" ? "1.0" : type == "CephUUID" ? fsid.describe() : "p";
      }
    }
    if (std::string_view(row.at("perm").as_string()).find('w') != std::string_view::npos) continue;
    request["prefix"] = prefix;
    for (auto format : {"plain", "json", "json-pretty"}) {
      request["format"] = format;
      auto result = run(print_json(request, JsonStyle::compact));
      if (result.result == 0 && std::string_view(format) != "plain" && !prefix.ends_with("map") &&
          prefix.find("config-key get") == prefix.npos && prefix.find("get-require") == prefix.npos &&
          prefix.find("generate") == prefix.npos && !result.output.empty()) {
        boost::system::error_code error;
        auto checked = boost::json::parse(result.output, error);
        EXPECT_FALSE(error) << prefix << ": " << result.output.substr(0, 200);
        EXPECT_EQ(result.output.ends_with('\n'), std::string_view(format) == "json-pretty") << prefix;
      }
    }
  }
}

TEST_F(CommandTest, pools_are_made_changed_and_removed) {
  ASSERT_TRUE(boot(0, 6800));
  EXPECT_EQ(run(R"({"prefix": "osd pool create", "pool": "p", "pg_num": 4, "size": 2})").text, "pool 'p' created");
  EXPECT_EQ(map().pool(1)->size, 2);
  EXPECT_EQ(run(R"({"prefix": "osd pool set", "pool": "p", "var": "size", "val": "1"})").result, -EPERM);
  EXPECT_EQ(
      run(R"({"prefix": "osd pool set", "pool": "p", "var": "size", "val": "1", "yes_i_really_mean_it": true})").result,
      0);
  EXPECT_EQ(map().pool(1)->size, 1);
  EXPECT_EQ(run(R"({"prefix": "osd pool set", "pool": "p", "var": "pg_num", "val": "2"})").result, -EOPNOTSUPP);
  EXPECT_EQ(run(R"({"prefix": "osd pool set", "pool": "p", "var": "pg_num", "val": "16"})").result, -EOPNOTSUPP);
  EXPECT_EQ(map().pool(1)->pg_num, 4u);
  EXPECT_EQ(run(R"({"prefix": "osd pool get", "pool": "p", "var": "size", "format": "json"})").output,
            R"({"pool":"p","pool_id":1,"size":1})");
  EXPECT_EQ(run(R"({"prefix": "osd pool create", "pool": "e", "pool_type": "erasure"})").result, -EOPNOTSUPP);
  const char* remove = R"({"prefix": "osd pool rm", "pool": "p", "pool2": "p", "yes_i_really_really_mean_it": true})";
  EXPECT_EQ(run(remove).result, -EPERM) << "the guard";
  EXPECT_TRUE(config.set("mon_allow_pool_delete", "true"));
  EXPECT_EQ(run(remove).result, 0);
  EXPECT_TRUE(map().pools.empty());
}

TEST_F(CommandTest, keys_and_capabilities) {
  auto made = run(R"({"prefix": "auth get-or-create", "entity": "client.x", "caps": ["mon", "allow r"]})");
  EXPECT_EQ(made.result, 0);
  EXPECT_EQ(run(R"({"prefix": "auth get-or-create", "entity": "client.x", "caps": ["mon", "allow r"]})").output,
            made.output);
  EXPECT_EQ(run(R"({"prefix": "auth get-or-create", "entity": "client.x", "caps": ["mon", "allow rw"]})").result,
            -EINVAL);
  EXPECT_EQ(run(R"({"prefix": "auth caps", "entity": "client.x", "caps": ["mon", "allow nonsense"]})").result, -EINVAL);
  EXPECT_EQ(run(R"({"prefix": "auth caps", "entity": "client.x", "caps": ["mon"]})").result, -EINVAL);
  EXPECT_EQ(run(R"({"prefix": "auth caps", "entity": "client.x", "caps": ["osd", "allow rw pool=p"]})").result, 0);
  EXPECT_EQ(state.auth().find(*msg::KeyName::parse("client.x"))->caps, (CapsByService{{"osd", "allow rw pool=p"}}));
  auto exported = run(R"({"prefix": "auth get", "entity": "client.x"})");
  EXPECT_EQ(run(R"({"prefix": "auth rm", "entity": "client.x"})").result, 0);
  EXPECT_EQ(run(R"({"prefix": "auth get", "entity": "client.x"})").result, -ENOENT);
  EXPECT_EQ(run(R"({"prefix": "auth import"})", exported.output).result, 0);
  EXPECT_EQ(run(R"({"prefix": "auth get", "entity": "client.x"})").output, exported.output);
  EXPECT_EQ(run(R"({"prefix": "auth get", "entity": "nobody"})").result, -EINVAL);
}

TEST_F(CommandTest, configuration_by_section) {
  run(R"({"prefix": "config set", "who": "global", "name": "debug osd", "value": "1"})");
  run(R"({"prefix": "config set", "who": "osd", "name": "debug_osd", "value": "2"})");
  run(R"({"prefix": "config set", "who": "osd.3", "name": "debug_osd", "value": "3"})");
  EXPECT_EQ(run(R"({"prefix": "config get", "who": "osd.3", "key": "debug_osd"})").output, "3\n");
  EXPECT_EQ(run(R"({"prefix": "config get", "who": "osd.4", "key": "debug_osd"})").output, "2\n");
  EXPECT_EQ(run(R"({"prefix": "config get", "who": "mds.x", "key": "debug_osd"})").output, "1\n");
  // Kept and shown as Ceph does (Option::parse_value).
  for (auto [name, value, shown] : {std::tuple("osd_op_complaint_time", "17", "17.000000"),
                                    {"osd_memory_target", "2G", "2147483648"},
                                    {"log_to_stderr", "yes", "true"},
                                    {"osd_max_backfills", "3", "3"}}) {
    run(fmt::format(R"({{"prefix": "config set", "who": "osd", "name": "{}", "value": "{}"}})", name, value));
    EXPECT_EQ(run(fmt::format(R"({{"prefix": "config get", "who": "osd.0", "key": "{}"}})", name)).output,
              fmt::format("{}\n", shown));
  }
  EXPECT_EQ(run(R"({"prefix": "config set", "who": "nobody", "name": "a", "value": "2"})").result, -EINVAL);
  EXPECT_EQ(run(R"({"prefix": "config set", "who": "mon", "name": "mon_max_pg_per_osd", "value": "x"})").result,
            -EINVAL);
  EXPECT_EQ(run(R"({"prefix": "config set", "who": "osd", "name": "osd_max_backfils", "value": "2"})").result, -EINVAL)
      << "nobody has that";
  EXPECT_EQ(run(R"({"prefix": "config set", "who": "osd", "name": "mon_host", "value": "a"})").result, -EINVAL);
  EXPECT_EQ(run(R"({"prefix": "config set", "who": "osd", "name": "osd_max_backfills", "value": "x"})").result,
            -EINVAL);
  run(R"({"prefix": "config reset", "num": 1})");
  EXPECT_EQ(run(R"({"prefix": "config get", "who": "osd.3", "key": "debug_osd"})").output, "1\n");
}

TEST_F(CommandTest, configuration_by_place_and_class) {
  ASSERT_TRUE(boot(0, 6800));
  ASSERT_TRUE(boot(1, 6801));
  for (auto json :
       {R"({"prefix": "osd crush set", "id": 0, "weight": 1, "args": ["root=default", "rack=r1", "host=h0"]})",
        R"({"prefix": "osd crush set", "id": 1, "weight": 1, "args": ["root=default", "rack=r1", "host=h1"]})",
        R"({"prefix": "osd crush set-device-class", "class": "ssd", "ids": ["1"]})",
        R"({"prefix": "config set", "who": "osd", "name": "debug_osd", "value": "1"})",
        R"({"prefix": "config set", "who": "osd/rack:r1", "name": "debug_osd", "value": "2"})",
        R"({"prefix": "config set", "who": "osd/host:h0", "name": "debug_osd", "value": "3"})",
        R"({"prefix": "config set", "who": "osd/class:ssd", "name": "debug_osd", "value": "4"})",
        R"({"prefix": "config set", "who": "client/host:h0", "name": "debug_ms", "value": "5"})"})
    EXPECT_EQ(run(json).result, 0) << json << run(json).text;
  EXPECT_EQ(run(R"({"prefix": "config get", "who": "osd.0", "key": "debug_osd"})").output, "3\n")
      << "the nearest place";
  EXPECT_EQ(run(R"({"prefix": "config get", "who": "osd.1", "key": "debug_osd"})").output, "4\n") << "then the class";
  EXPECT_EQ(run(R"({"prefix": "config get", "who": "osd.7", "key": "debug_osd"})").output, "1\n");
  EXPECT_EQ(config_for(state, "client.x", "h0").at("debug_ms"), "5");
  EXPECT_TRUE(config_for(state, "client.x", "h1").empty());
  for (auto who : {"osd/", "osd/host", "osd/host:a/rack:b", "osd/class:a/class:b"})
    EXPECT_EQ(
        run(fmt::format(R"({{"prefix": "config set", "who": "{}", "name": "debug_osd", "value": "1"}})", who)).result,
        -EINVAL)
        << who;
  run(R"({"prefix": "config rm", "who": "osd/host:h0", "name": "debug_osd"})");
  EXPECT_EQ(run(R"({"prefix": "config get", "who": "osd.0", "key": "debug_osd"})").output, "2\n");
}

TEST_F(CommandTest, health_names_pgs_that_find_no_room) {
  ASSERT_TRUE(boot(0, 6800));
  ASSERT_EQ(run(R"({"prefix": "osd pool create", "pool": "p", "pg_num": 4})").result, 0);
  const std::int64_t pool = state.osd().map().pools.rbegin()->first;
  auto report = [&](std::uint32_t seed, std::uint64_t bits) {
    msg::OsdBeacon beacon;
    msg::PgReport each;
    each.pg = {pool, seed};
    each.state = msg::pg_state::active | msg::pg_state::degraded | bits;
    each.up = each.acting = {0};
    each.reported_epoch = state.osd().map().epoch;
    each.reported_sequence = ++sequence;
    beacon.pgs.push_back(each);
    stats.take(beacon, MonotonicTime{});
  };
  auto health = [&] {
    return assess(state, {now, {}, 1.0, system_random(), config, options(), stats, *mds, sessions, *decider, metrics});
  };
  EXPECT_FALSE(health().checks.contains("PG_RECOVERY_FULL") || health().checks.contains("PG_BACKFILL_FULL"));
  report(0, msg::pg_state::recovery_toofull);
  report(1, msg::pg_state::backfill_toofull);
  report(2, msg::pg_state::backfill_toofull);
  report(3, 0);
  auto checks = health().checks;
  EXPECT_EQ(checks.at("PG_RECOVERY_FULL").severity, HealthStatus::error);
  EXPECT_EQ(checks.at("PG_RECOVERY_FULL").summary, "Full OSDs blocking recovery: 1 pg recovery_toofull");
  EXPECT_EQ(checks.at("PG_BACKFILL_FULL").severity, HealthStatus::warning);
  EXPECT_EQ(checks.at("PG_BACKFILL_FULL").summary,
            "Low space hindering backfill (add storage if this doesn't resolve itself): 2 pgs backfill_toofull");
  EXPECT_EQ(checks.at("PG_BACKFILL_FULL").detail.size(), 2u);
  EXPECT_EQ(checks.at("PG_BACKFILL_FULL").count, 2u);
  report(0, 0);
  EXPECT_FALSE(health().checks.contains("PG_RECOVERY_FULL"));
}

TEST_F(CommandTest, muted_checks_do_not_count) {
  ASSERT_TRUE(boot(0, 6800));
  run(R"({"prefix": "osd set", "key": "noout"})");
  EXPECT_TRUE(run(R"({"prefix": "osd stat"})").output.ends_with("\nflags noout\n"));
  EXPECT_EQ(run(R"({"prefix": "health mute", "code": "NOT_THERE"})").result, -ENOENT);
  EXPECT_EQ(run(R"({"prefix": "health mute", "code": "OSDMAP_FLAGS", "ttl": "soon"})").result, -EINVAL);
  EXPECT_EQ(run(R"({"prefix": "health mute", "code": "OSDMAP_FLAGS", "ttl": "1h"})").result, 0);
  Surroundings around{now, {}, 1.0, system_random(), config, options(), stats, *mds, sessions, *decider, metrics};
  auto health = assess(state, around);
  EXPECT_TRUE(health.checks.at("OSDMAP_FLAGS").muted);
  EXPECT_TRUE(mutes_over(health, now).empty());
  EXPECT_EQ(mutes_over(health, later(now, 3601)).size(), 1u) << "its time has passed";
  run(R"({"prefix": "osd set", "key": "nodown"})");
  EXPECT_EQ(mutes_over(assess(state, around), now).size(), 1u) << "it got worse";
  EXPECT_EQ(run(R"({"prefix": "health mute", "code": "OSDMAP_FLAGS", "sticky": true})").result, 0);
  run(R"({"prefix": "osd unset", "key": "nodown"})");
  run(R"({"prefix": "osd unset", "key": "noout"})");
  EXPECT_TRUE(mutes_over(assess(state, around), now).empty()) << "it stays";
  EXPECT_EQ(State::load(state.save())->health().mutes(), state.health().mutes());
  EXPECT_EQ(run(R"({"prefix": "health unmute"})").result, 0);
  EXPECT_TRUE(state.health().mutes().empty());
}

}  // namespace
}  // namespace spirula::mon
