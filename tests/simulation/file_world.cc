#include "tests/simulation/file_world.h"

#include <fmt/format.h>

#include <gtest/gtest.h>

#include <algorithm>

#include "mds/test_client.h"

namespace spirula::simulation {

using namespace std::chrono_literals;
using mds::Ino;

FileWorld::FileWorld(std::uint64_t seed, Plan the_plan) : world(seed), host(world.add_host()), plan(the_plan) {
  store.delay = [this]() -> Task<> { (void)co_await host.clock().sleep(std::chrono::microseconds(100 + dice(4000))); };
  // The change at which the server dies may have happened or not; later ones have not.
  store.before_change = [this]() -> Result<> {
    if (dying_) return Errc::blocklisted;
    ++changes_;
    if (!crash_in_ || --crash_in_) return {};
    die();
    if (dice(2)) return Errc::blocklisted;
    return {};
  };
}

FileWorld::~FileWorld() = default;

void FileWorld::run() {
  world.run(live(), 24h);
}

Task<> FileWorld::pass(Duration time) {
  (void)co_await host.clock().sleep(time);
}

void FileWorld::die() {
  dying_ = true;
  for (auto& client : clients) client->server_went();
  if (newcomer_) newcomer_->die();
  died_.set();
  if (on_death_) on_death_();
}

Task<> FileWorld::begin_life(bool fresh) {
  dying_ = false;
  died_.reset();
  mds::ServerOptions options = mds::test_options();
  options.journal_interval = std::chrono::milliseconds(dice(30));
  options.write_back_interval = std::chrono::milliseconds(20 + dice(400));
  options.reconnect_timeout = 2s;
  options.cache_bytes_max = dice(2) ? 20'000 : 1 << 20;
  server = std::make_unique<mds::Server>(host, store, options);
  TaskGroup starting(host);
  Event over_or_up;
  on_death_ = [&] { over_or_up.set(); };
  starting.spawn(start_server(fresh, over_or_up));
  (void)co_await over_or_up.wait();
  on_death_ = nullptr;
  co_await starting.stop();
}

Task<> FileWorld::start_server(bool fresh, Event& up) {
  if (fresh) {
    EXPECT_TRUE(co_await server->format());
  } else {
    Result<> begun = co_await server->replay();
    if (begun && !dying_) {
      for (auto& client : clients) client->server_came();
      begun = co_await server->reconnect();
    }
    EXPECT_TRUE(begun || dying_) << server->problem();
  }
  if (!dying_) co_await server->activate();
  for (auto& client : clients) {
    if (dying_) break;
    if (fresh) client->server_came();
    client->server_is_active();
  }
  up.set();
}

Task<> FileWorld::end_life() {
  if (!dying_) die();
  co_await server->stop();
  server.reset();
}

bool FileWorld::everybody_done() const {
  return std::ranges::all_of(clients, [](const auto& client) { return !client->is_dead() && client->done; });
}

Task<> FileWorld::replace_dead() {
  for (auto& client : clients) {
    if (!client->is_dead()) continue;
    // The server hears that it is gone; what it did before counts.
    auto evicted = co_await server->evict(mds::ClientId{client->id()});
    if (dying_) co_return;
    EXPECT_TRUE(evicted);
    auto successor = std::make_unique<FileClient>(*this, client->number(), next_id_++);
    newcomer_ = successor.get();
    successor->server_came();
    successor->server_is_active();
    co_await successor->take_over(*client);
    newcomer_ = nullptr;
    if (dying_) {
      dead.push_back(std::move(successor));
      co_return;
    }
    dead.push_back(std::exchange(client, std::move(successor)));
  }
}

Task<> FileWorld::make_folders() {
  FileClient maker(*this, 99, 99);
  maker.server_came();
  maker.server_is_active();
  for (unsigned i = 0; i < FileClient::folders; ++i)
    EXPECT_EQ(co_await maker.call(mds::Client::request(msg::MdsOp::mkdir, fmt::format("d{}", i))), 0);
  co_await maker.leave();
}

Task<> FileWorld::live() {
  for (unsigned i = 0; i < plan.clients; ++i) clients.push_back(std::make_unique<FileClient>(*this, i, next_id_++));
  co_await begin_life(true);
  co_await make_folders();
  changes_ = 0;
  crash_in_ = plan.crash_at;
  TaskGroup working(host);
  for (auto& client : clients) working.spawn(client->work());
  for (unsigned life = 1;; ++life) {
    if (!plan.crash_at && life <= plan.lives_max) crash_in_ = 1 + dice(dice(3) ? 300 : 20);
    bool restart = false;
    while (!restart && !everybody_done()) {
      Result<> died = co_await died_.wait_until(host.clock(), host.clock().now() + 200ms);
      restart = bool(died);
      if (restart || !plan.clients_die || over) continue;
      if (dice(20) == 0)
        if (FileClient& victim = *clients[dice(clients.size())]; victim.may_die()) victim.die();
      if (std::ranges::any_of(clients, [](const auto& client) { return client->is_dead(); })) {
        co_await replace_dead();
        for (auto& client : clients)
          if (!client->is_dead() && !client->started) working.spawn(client->work());
      }
    }
    if (testing::Test::HasFailure()) break;
    if (!restart) break;
    // Clients may die with it.
    for (auto& client : clients)
      if (plan.clients_die && dice(6) == 0 && client->may_die()) client->die();
    co_await end_life();
    if (dice(4)) co_await pass(std::chrono::milliseconds(dice(3000)));
    do {
      crash_in_ = !plan.crash_at && dice(3) == 0 ? 1 + dice(12) : 0;
      co_await begin_life(false);
      if (dying_) co_await end_life();
    } while (!server);
  }
  over = true;
  crash_in_ = 0;
  if (testing::Test::HasFailure()) {
    for (auto& client : clients) client->die();
  } else {
    // Everything that was begun comes to its end without further ado.
    for (int i = 0; i < 1000 && std::ranges::any_of(clients, [](const auto& c) { return !c->idle(); }); ++i)
      co_await pass(10ms);
    for (auto& client : clients) EXPECT_TRUE(client->idle()) << client->describe();
    for (auto& client : clients) co_await client->leave();
  }
  co_await working.join();
  for (auto& client : dead) co_await client->leave();
  for (auto& client : clients) co_await client->leave();
  if (!testing::Test::HasFailure()) co_await audit();
  co_await end_life();
}

/// A full walk in a new life: names, links, statistics, and nothing left of what was removed.
Task<> FileWorld::audit() {
  co_await end_life();
  co_await begin_life(false);
  FileClient auditor(*this, 99, 999);
  auditor.server_came();
  auditor.server_is_active();
  std::map<std::string, FileState> expected, found;
  for (const auto& client : clients)
    for (const auto& [path, state] : client->history().back()) expected[path] = state;
  std::set<std::string> live;
  std::deque<std::string> folders{""};
  while (!folders.empty()) {
    const std::string folder = folders.front();
    folders.pop_front();
    auto entries = co_await auditor.list(folder);
    EXPECT_TRUE(entries) << folder;
    if (!entries) break;
    for (const FileClient::Entry& entry : *entries) {
      const std::string path = folder.empty() ? entry.name : folder + "/" + entry.name;
      live.insert(mds::MetadataStore::directory_object(Ino{entry.state.ino}));
      if (entry.state.is_dir()) folders.push_back(path);
      if (!folder.empty()) EXPECT_TRUE(found.emplace(path, entry.state).second) << path << " is there twice";
    }
  }
  for (const auto& [path, state] : expected) {
    auto it = found.find(path);
    EXPECT_TRUE(it != found.end()) << path << " is lost";
    if (it != found.end()) EXPECT_TRUE(state.fits(it->second)) << path;
  }
  EXPECT_EQ(found.size(), expected.size());
  server->tree().verify();
  co_await auditor.leave();
  // What was removed leaves nothing behind.
  co_await pass(5s);
  EXPECT_TRUE(co_await server->write_back_all());
  co_await pass(1s);
  EXPECT_TRUE(co_await server->write_back_all());
  for (const auto& [name, object] : store.data) EXPECT_TRUE(live.contains(name)) << "data left: " << name;
  for (const auto& [name, object] : store.metadata)
    if (name.starts_with("100000")) EXPECT_TRUE(live.contains(name)) << "a folder's object left: " << name;
}

}  // namespace spirula::simulation
