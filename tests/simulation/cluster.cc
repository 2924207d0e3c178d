#include "tests/simulation/cluster.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "mon/decision_log.h"
#include "mon/mkfs.h"
#include "mon/options.h"
#include "osd/options.h"

namespace spirula::simulation {

using namespace std::chrono_literals;

namespace {
const msg::Uuid fsid = *msg::Uuid::parse("11111111-2222-3333-4444-555555555555");
constexpr const char* no_auth =
    "auth service required = none\nauth cluster required = none\nauth client required = none\nadmin socket =\n";
}  // namespace

Cluster::Cluster(std::uint64_t seed, unsigned osds, unsigned size, unsigned min_size)
    : world(seed), size_(size), min_size_(min_size), monitor_host_(&world.add_host()), client_host_(&world.add_host()) {
  std::string at = monitor_host_->address() + ":3300";
  monitor_config_.add(mon::options());
  EXPECT_TRUE(monitor_config_.parse_file_text(
      fmt::format("[global]\nmon host = {}\npublic addr = {}\n{}mon data = /\nmon legacy port = 0\n"
                  "osd pool default size = {}\nosd pool default min size = {}\nosd heartbeat grace = 6\n"
                  "mon osd down out interval = 0\n",
                  at, at, no_auth, size, min_size)))
      << monitor_config_.problem();
  auto state =
      mon::initial_state(fsid, "a", msg::Address::msgr2(*Endpoint::parse(at), 0), {}, msg::Time{1'700'000'000, 0});
  mon::MemoryStorage storage(monitor_disk_);
  EXPECT_TRUE(mon::DecisionLog::create(storage, state->save()));
  EXPECT_TRUE(client_config_.parse_file_text(fmt::format("[global]\nmon host = {}\n{}", at, no_auth)));
  for (unsigned i = 0; i < osds; ++i) {
    Node node;
    node.host = &world.add_host();
    node.config = std::make_unique<Config>("osd", std::to_string(i));
    node.config->add(osd::options());
    EXPECT_TRUE(
        node.config->parse_file_text(fmt::format("[global]\nmon host = {}\npublic addr = {}\n{}"
                                                 "crush location = root=default host=h{}\nosd max pg log entries = 40\n"
                                                 "osd client message size cap = 8388608\n"
                                                 "osd backoff on peering = {}\n",
                                                 at, node.host->address(), no_auth, i, seed % 2 == 1)))
        << node.config->problem();
    node.store = filestore::MemoryStore::make();
    nodes_.push_back(std::move(node));
  }
}

Task<> Cluster::pass(Duration time) {
  (void)co_await world.clock().sleep(time);
}

Task<std::string> Cluster::command(std::string json) {
  auto result = co_await monitor_->run_command(json, "", "test");
  EXPECT_EQ(result.result, 0) << json << ": " << result.text;
  co_return result.output + result.text;
}

Task<Cluster::Answer> Cluster::ask(unsigned seed, std::string command, std::string more) {
  std::string request = fmt::format(R"({{"prefix": "pg", "pgid": "{}.{:x}", "cmd": "{}"{}, "format": "json"}})", pool,
                                    seed, command, more);
  Answer answer;
  for (Node& node : nodes_) {
    if (!node.osd) continue;
    answer = co_await node.osd->commands().run(request);
    if (answer.text.find("pgid") == std::string::npos) break;
  }
  co_return answer;
}

Task<std::int64_t> Cluster::sum(std::string name) {
  std::int64_t all = 0;
  for (unsigned seed = 0; seed < pgs; ++seed) {
    Answer query = co_await ask(seed, "query");
    EXPECT_EQ(query.result, 0) << query.text;
    if (query.result == 0)
      all += boost::json::parse(query.output).at("info").at("stats").at("stat_sum").at(name).as_int64();
  }
  co_return all;
}

Task<> Cluster::format(unsigned osd) {
  osd::Superblock superblock;
  superblock.cluster = fsid;
  superblock.store.bytes[0] = static_cast<std::uint8_t>(osd + 1);
  superblock.whoami = static_cast<std::int32_t>(osd);
  EXPECT_TRUE(co_await osd::MapHistory::format(*nodes_.at(osd).store, superblock));
}

Task<> Cluster::start() {
  auto opened =
      mon::Monitor::open(*monitor_host_, monitor_config_, std::make_unique<mon::MemoryStorage>(monitor_disk_));
  EXPECT_TRUE(opened);
  monitor_ = std::move(*opened);
  EXPECT_TRUE(co_await monitor_->start());
  for (unsigned i = 0; i < nodes_.size(); ++i) {
    co_await format(i);
    co_await restart(i);
  }
  co_await pass(5s);
  co_await command(fmt::format(R"({{"prefix": "osd pool create", "pool": "p", "pg_num": {}}})", pgs));
  for (int i = 0; i < 2; ++i) {
    auto client = co_await librados::Cluster::connect(*client_host_, client_config_, 30s);
    EXPECT_TRUE(client);
    clients_.push_back(std::move(*client));
  }
  auto found = co_await clients_.front()->find_pool("p");
  EXPECT_TRUE(found);
  pool = *found;
}

Task<> Cluster::stop() {
  for (auto& client : clients_) co_await client->stop();
  for (Node& node : nodes_)
    if (node.osd) co_await node.osd->stop();
  co_await monitor_->stop();
}

Task<msg::PoolOpReply> Cluster::pool_operation(msg::PoolOpKind kind, SnapId snap) {
  msg::PoolOp request;
  request.fsid = fsid;
  request.pool = static_cast<std::uint32_t>(pool);
  request.kind = kind;
  request.snap = snap;
  auto message =
      co_await clients_.front()->monitors().exchange(msg::make_message(request), msg::PoolOpReply::message_type);
  EXPECT_TRUE(message);
  auto reply = msg::read_message<msg::PoolOpReply>(*message);
  EXPECT_TRUE(reply);
  EXPECT_EQ(reply->result, 0);
  co_return std::move(*reply);
}

Task<SnapId> Cluster::take_snapshot() {
  auto reply = co_await pool_operation(msg::PoolOpKind::create_unmanaged_snap, {});
  co_return *decode<SnapId>(*reply.response);
}

Task<> Cluster::remove_snapshot(SnapId snap) {
  (void)co_await pool_operation(msg::PoolOpKind::delete_unmanaged_snap, snap);
}

Task<> Cluster::kill(unsigned osd) {
  Node& node = nodes_.at(osd);
  node.host->power_off();
  node.lease->cut();
  node.store->crash();
  co_await node.osd->stop();
  node.store->release_durability();
  node.osd.reset();
  node.lease = nullptr;
}

Task<> Cluster::restart(unsigned osd) {
  Node& node = nodes_.at(osd);
  if (!node.host->powered()) node.host->power_on();
  auto lease = std::make_unique<StoreLease>(*node.store);
  node.lease = lease.get();
  node.osd = std::make_unique<osd::Osd>(*node.host, *node.config, std::move(lease));
  EXPECT_TRUE(co_await node.osd->start());
}

Task<> Cluster::replace_disk(unsigned osd) {
  nodes_.at(osd).store = filestore::MemoryStore::make();
  co_await format(osd);
}

Task<bool> Cluster::settle(Duration limit) {
  auto until = world.clock().now() + limit;
  std::string last;
  while (world.clock().now() < until) {
    co_await pass(1s);
    last = co_await command(R"({"prefix": "pg stat"})");
    if (last.find(fmt::format("{} active+clean;", pgs)) != std::string::npos) co_return true;
  }
  ADD_FAILURE() << "does not come to rest: " << last << "\n" << co_await command(R"({"prefix": "osd dump"})");
  co_return false;
}

Task<std::string> Cluster::compare_copies() {
  std::string problems;
  for (std::uint32_t seed = 0; seed < pgs; ++seed) {
    filestore::CollectionId collection{pool, seed};
    std::map<std::string, std::string> first;
    unsigned copies = 0;
    for (Node& node : nodes_) {
      auto page = co_await node.store->list(collection, std::nullopt, 100'000);
      if (!page) continue;
      std::map<std::string, std::string> here;
      for (const auto& object : page->objects) {
        auto data = co_await node.store->read(object, 0, 1 << 30);
        auto attributes = co_await node.store->get_attributes(object);
        auto omap = co_await node.store->omap_list(object, "", "", 100'000, 1 << 30);
        std::string all = data->flatten().to_string();
        for (auto& [name, value] : *attributes) all += "\n" + name + "=" + to_hex(value);
        for (auto& [name, value] : omap->entries) all += "\n" + name + "->" + value.to_string();
        here[object.describe()] = std::move(all);
      }
      if (copies++ == 0) {
        first = std::move(here);
        continue;
      }
      for (auto& [name, all] : first)
        if (!here.contains(name))
          problems += fmt::format("pg {}: {} is only in one copy\n", seed, name);
        else if (here[name] != all)
          problems += fmt::format("pg {}: {} differs\n", seed, name);
      for (auto& [name, all] : here)
        if (!first.contains(name)) problems += fmt::format("pg {}: {} is only in a later copy\n", seed, name);
    }
    if (copies != size_) problems += fmt::format("pg {}: {} copies\n", seed, copies);
  }
  co_return problems;
}

}  // namespace spirula::simulation
