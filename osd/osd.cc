#include "osd/osd.h"

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "base/promise.h"
#include "msg/daemon_messages.h"

/// The daemon: start, maps, reports, stop.
namespace spirula::osd {

using namespace std::chrono_literals;
using msg::EntityType;

namespace {

/// Calls `f(shard)` on the shard and brings the answer home.
template <class F>
auto ask(Shard& home, PgShard& shard, F f) -> Task<Result<decltype(f(shard))>> {
  using T = decltype(f(shard));
  if (shard.shard().here()) co_return f(shard);
  Promise<T> answer;
  shard.shard().post([&home, &shard, f = std::move(f), answer]() mutable {
    home.post([answer, value = f(shard)]() mutable { answer.set(std::move(value)); });
  });
  co_return co_await answer.get();
}

}  // namespace

Osd::Osd(Shard& home, Config& config, std::unique_ptr<filestore::ObjectStore> store)
    : home_(home),
      config_(config),
      store_(std::move(store)),
      whoami_(std::stoi(config.id())),
      figures_(metrics_),
      in_flight_(metrics_.gauge("osd", "op_wip", "client requests being worked on")),
      history_(*store_),
      verifier_(
          home, config, *store_,
          {.may_begin =
               [this] { return history_.newest() && !(history_.newest()->map->flags & maps::map_flag::no_deep_scrub); },
           .log = [this](msg::LogPriority priority,
                         std::string text) { link_.monitors().log(priority, std::move(text)); }}),
      link_(home, config),
      admin_(home, config),
      tasks_(home) {
  commons_.whoami = whoami_;
  commons_.store = store_.get();
  commons_.count = static_cast<unsigned>(config.integer("osd_shards"));
  commons_.log_entries_max = static_cast<std::size_t>(config.integer("osd_max_pg_log_entries"));
  commons_.backoff_on_peering = config.flag("osd_backoff_on_peering");
  commons_.figures = &figures_;
  commons_.on_store_failed = [this](std::error_code why) {
    log_error("osd", "the store takes no more writes: {}", why.message());
    home_.post([this] { failed_.set(); });
  };
  commons_.connect = [this](std::int32_t osd, PgShard& from) { return connect_to(osd, from); };
  commons_.request_up_thru = [this](Epoch wanted) { home_.post([this, wanted] { request_up_thru(wanted); }); };
  commons_.request_acting = [this](PgId pg, std::vector<std::int32_t> acting) {
    home_.post([this, pg, acting = std::move(acting)]() mutable { request_acting(pg, std::move(acting)); });
  };
  commons_.retry = [this](ClientOpRef op) {
    if (!op->connection) return;
    auto* session = static_cast<ClientSession*>(op->connection->context.get());
    if (!session) return;
    session->waiting_bytes -= std::exchange(op->waiting_bytes, 0);
    start(std::move(op), *session);
  };
}

Osd::~Osd() {
  CHECK(stopping_, "stop() first");
}

Task<Result<>> Osd::open_store() {
  Result<> loaded = co_await history_.load();
  if (!loaded) log_error("osd", "the store's superblock: {}", loaded.error().message());
  CO_TRY(loaded);
  const Superblock& superblock = history_.superblock();
  auto fsid = msg::Uuid::parse(config_.text("fsid"));
  if (superblock.whoami != whoami_ || (fsid && superblock.cluster != *fsid)) {
    log_error("osd", "this is the store of osd.{} of cluster {}", superblock.whoami, superblock.cluster.describe());
    co_return Errc::invalid;
  }
  for (unsigned i = 0; i < commons_.count; ++i) {
    Shard* shard = &home_;
    if (i > 0) {
      threads_.push_back(std::make_unique<ShardThread>("osd-shard"));
      shard = &threads_.back()->shard();
    }
    shards_.push_back(std::make_unique<PgShard>(*shard, i, commons_));
    commons_.shards.push_back(shards_.back().get());
    shard_tasks_.push_back(std::make_unique<TaskGroup>(*shard));
    links_.emplace_back();
  }
  write_size_max_ =
      std::min(write_size_max_, store_->transaction_bytes_max() -
                                    std::min(store_->transaction_bytes_max() / 2, limits::write_overhead_max));
  auto collections = co_await store_->collections();
  CO_TRY(collections);
  for (unsigned i = 0; i < commons_.count; ++i) {
    Promise<bool> done;
    auto load = [](Shard& home, PgShard& shard, std::vector<filestore::CollectionInfo> all, Epoch oldest, Epoch newest,
                   Promise<bool> promise) -> Task<> {
      Result<> result = co_await shard.load(std::move(all), oldest, newest);
      home.post([promise, result]() mutable {
        if (result)
          promise.set(true);
        else
          promise.set(result.error());
      });
    };
    run_on(i, load(home_, *shards_[i], *collections, superblock.oldest_map, superblock.newest_map, done));
    auto result = co_await done.get();
    CO_TRY(result);
  }
  co_return Result<>{};
}

void Osd::run_on(unsigned index, Task<> task) {
  TaskGroup* group = shard_tasks_[index].get();
  shards_[index]->shard().post([group, task = std::move(task)]() mutable { group->spawn(std::move(task)); });
}

Result<> Osd::listen() {
  maps::DaemonLink::Plan plan;
  plan.name = {EntityType::osd, whoami_};
  plan.policy_for = [](EntityType peer) {
    msg::Policy policy;
    policy.lossy = peer != EntityType::osd;
    return policy;
  };
  plan.bytes_in_flight_max = config_.size("osd_client_message_size_cap");
  for (const auto& shard : shards_) plan.shards.push_back(&shard->shard());
  TRY(link_.listen(std::move(plan), *this));
  link_.monitors().on<msg::OsdMapMessage>([this](msg::OsdMapMessage message) { take_maps(std::move(message)); });
  link_.monitors().on<msg::DaemonReply>([this](msg::DaemonReply reply) {
    if (reply.result >= 0) return;
    log_error("osd", "the monitor refuses us: {} ({})", reply.text, reply.result);
    if (reply.result == -EEXIST) failed_.set();
  });
  link_.monitors().on_session([this] {
    complete_beacon_ = true;
    boot_wanted_.set();
  });
  link_.monitors().subscribe("osdmap", history_.newest() ? history_.epoch().value + 1 : 0);
  return {};
}

Task<Result<>> Osd::start() {
  Result<> opened = co_await open_store();
  CO_TRY(opened);
  CO_TRY(listen());
  add_admin_commands();
  tasks_.spawn(work_on_maps());
  tasks_.spawn(keep_booted());
  tasks_.spawn(tick());
  tasks_.spawn(watch_peers());
  tasks_.spawn(verifier_.run());
  co_return co_await link_.log_in();
}

void Osd::take_maps(msg::OsdMapMessage message) {
  if (stopping_) return;
  incoming_maps_.push_back(std::move(message));
  maps_waiting_.set();
}

Task<> Osd::work_on_maps() {
  while (!stopping_) {
    if (incoming_maps_.empty()) {
      maps_waiting_.reset();
      if (!co_await maps_waiting_.wait()) co_return;
      continue;
    }
    msg::OsdMapMessage message = std::move(incoming_maps_.front());
    incoming_maps_.pop_front();
    auto fresh = co_await history_.take(message);
    if (stopping_) co_return;
    if (!fresh) {
      log_error("osd", "a map cannot be used: {}", fresh.error().message());
      if (fresh.error() == make_error_code(Errc::io) || fresh.error() == make_error_code(Errc::read_only)) {
        failed_.set();
        co_return;
      }
      link_.monitors().subscribe("osdmap", 0);  // the whole newest map, then
      continue;
    }
    for (const auto& view : *fresh) publish(view);
    if (!fresh->empty()) link_.monitors().got("osdmap", history_.epoch().value);
  }
}

bool Osd::shown_up(const maps::OsdMap& map) const {
  const maps::Osd* me = map.osd(whoami_);
  return me && me->is_up() && me->client.msgr2() == link_.messenger().address().msgr2();
}

void Osd::publish(const MapViewRef& view) {
  bool up = shown_up(*view->map);
  if (up && !serving_) {
    log_info("osd", "osd.{} is up, epoch {}", whoami_, view->map->epoch.value);
    complete_beacon_ = true;
    tasks_.spawn(note_mounted(view->map->epoch));
  }
  if (!up && serving_) {
    log_warning("osd", "epoch {} shows osd.{} down although we run", view->map->epoch.value, whoami_);
    // Another incarnation: who still talks to the old one must look at the map first.
    auto address = link_.messenger().address();
    for (auto& each : address.addresses) each.nonce = static_cast<std::uint32_t>(home_.random().next());
    link_.messenger().set_address(std::move(address));
  }
  serving_ = up;
  if (!up) boot_wanted_.set();
  for (auto& shard : shards_) {
    PgShard* each = shard.get();
    auto show = [this, each, view, up] {
      drop_links(*each, *view->map, up);
      each->on_map(view, up);
    };
    if (each->shard().here())
      show();
    else
      each->shard().post(show);
  }
}

Task<> Osd::note_mounted(Epoch epoch) {
  Result<> noted = co_await history_.note_mounted(epoch);
  if (!noted && !stopping_) failed_.set();
}

Task<> Osd::keep_booted() {
  while (!stopping_) {
    boot_wanted_.reset();
    if (!serving_ && link_.is_logged_in()) {
      auto newest = co_await link_.monitors().get_version("osdmap");
      if (stopping_) co_return;
      // What is newer than all we know is on its way; booting on an old map would only be repeated.
      if (newest && newest->newest <= history_.epoch().value && !serving_) send_boot();
    }
    auto until = home_.clock().now() + (serving_ ? Duration(3s) : Duration(200ms));
    Result<> woken = co_await boot_wanted_.wait_until(home_.clock(), until);
    if (!woken && woken.error() == make_error_code(Errc::cancelled)) co_return;
  }
}

void Osd::send_boot() {
  constexpr auto repeat_after = 3s;
  MonotonicTime now = home_.clock().now();
  if (last_boot_ != MonotonicTime{} && now - last_boot_ < repeat_after &&
      last_boot_address_ == link_.messenger().address())
    return;
  last_boot_ = now;
  last_boot_address_ = link_.messenger().address();
  msg::OsdBoot boot;
  const Superblock& superblock = history_.superblock();
  boot.cluster = superblock.cluster;
  boot.osd = whoami_;
  boot.store = superblock.store;
  boot.newest_map = history_.epoch();
  boot.client_address = boot.cluster_address = link_.messenger().address();
  boot.heartbeat_back_address = boot.heartbeat_front_address = link_.messenger().address();
  boot.space = space();
  boot.device_class = config_.text("osd_class");
  std::string location = config_.text("crush_location");
  for (std::size_t at = 0; at < location.size();) {
    std::size_t end = std::min(location.find(' ', at), location.size());
    std::string word = location.substr(at, end - at);
    if (auto equals = word.find('='); equals != word.npos)
      boot.location[word.substr(0, equals)] = word.substr(equals + 1);
    at = end + 1;
  }
  boot.metadata = metadata();
  log_info("osd", "booting osd.{} at {}, newest map {}", whoami_, link_.messenger().address().describe(),
           history_.epoch().value);
  link_.monitors().send(boot);
}

msg::OsdSpace Osd::space() const {
  auto statistics = store_->statistics();
  msg::OsdSpace space;
  space.total = statistics.bytes_total;
  space.available = statistics.bytes_available;
  space.data_stored = data_stored_;
  return space;
}

msg::Metadata Osd::metadata() const {
  msg::Metadata all = maps::daemon_metadata();
  all["osd_data"] = config_.text("osd_data");
  all["osd_journal"] = config_.text("osd_journal");
  all["osd_objectstore"] = "filestore";
  return all;
}

/// Once a second: what is due in the shards, and the beacon when it is.
Task<> Osd::tick() {
  constexpr auto complete_interval = 60s;
  MonotonicTime next_beacon{}, next_complete{};
  while (!stopping_) {
    Result<> slept = co_await home_.clock().sleep(1s);
    if (!slept) co_return;
    MonotonicTime now = home_.clock().now();
    auto slow_after = config_.duration("osd_op_complaint_time");
    bool complete = complete_beacon_ || now >= next_complete;
    using Which = PgShard::Which;
    Which which = complete ? Which::all : now >= next_beacon ? Which::sums : Which::changed;

    msg::OsdBeacon beacon;
    std::uint64_t slow = 0, in_flight = 0;
    Duration oldest{};
    std::uint64_t stored = 0;
    for (auto& shard : shards_) {
      struct Seen {
        std::vector<msg::PgReport> reports;
        std::uint64_t held = 0, in_flight = 0, slow = 0, stored = 0;
        Duration oldest{};
      };
      auto seen = co_await ask(home_, *shard, [now, slow_after, which](PgShard& pgs) {
        Seen result;
        pgs.tick();
        result.reports = pgs.reports(which);
        result.held = pgs.pgs_held();
        result.stored = pgs.bytes_stored();
        pgs.for_each_operation([&](const ClientOp& op) {
          ++result.in_flight;
          Duration age = now - op.received;
          if (age < slow_after) return;
          ++result.slow;
          if (age <= result.oldest) return;
          result.oldest = age;
          log_warning("osd", "slow request, {} s: {} ({})",
                      std::chrono::duration_cast<std::chrono::seconds>(age).count(), op.describe(), op.stage);
        });
        return result;
      });
      if (!seen || stopping_) co_return;
      slow += seen->slow;
      in_flight += seen->in_flight;
      oldest = std::max(oldest, seen->oldest);
      beacon.pgs_held += static_cast<std::uint32_t>(seen->held);
      stored += seen->stored;
      std::ranges::move(seen->reports, std::back_inserter(beacon.pgs));
    }
    data_stored_ = stored;
    in_flight_.set(static_cast<std::int64_t>(in_flight));
    if (!serving_ || !link_.is_logged_in()) continue;
    if (now < next_beacon && !complete && beacon.pgs.empty()) continue;
    if (complete) {
      complete_beacon_ = false;
      next_complete = now + complete_interval;
    }
    next_beacon = now + config_.duration("osd_beacon_report_interval");
    beacon.osd = whoami_;
    beacon.map = history_.epoch();
    beacon.space = space();
    beacon.complete = complete;
    if (slow)
      beacon.health.push_back({"SLOW_OPS", 1,
                               fmt::format("{} slow ops, oldest one blocked for {} sec", slow,
                                           std::chrono::duration_cast<std::chrono::seconds>(oldest).count())});
    if (auto damage = verifier_.health()) beacon.health.push_back(std::move(*damage));
    link_.monitors().send(beacon);
  }
}

Task<> Osd::stop() {
  if (std::exchange(stopping_, true)) co_return;
  if (serving_ && link_.is_logged_in()) {
    msg::OsdMarkMeDown down;
    down.osd = whoami_;
    down.client_address = link_.messenger().address();
    down.map = history_.epoch();
    auto answer =
        co_await link_.monitors().exchange(msg::make_message(down), msg::DaemonReply::message_type, Duration(1s));
    if (!answer) log_warning("osd", "the monitor did not confirm that we go: {}", answer.error().message());
  }
  co_await admin_.stop();
  co_await tasks_.stop();
  co_await link_.stop();
  std::vector<std::unique_ptr<TaskGroup>> last_tasks;
  for (unsigned i = 0; i < shards_.size(); ++i) {
    Promise<bool> done;
    // Loading may be under way still: it ends before what it fills goes.
    auto stop = [](Shard& home, TaskGroup& loading, PgShard& shard, Promise<bool> promise) -> Task<> {
      co_await loading.stop();
      co_await shard.stop();
      home.post([promise]() mutable { promise.set(true); });
    };
    last_tasks.push_back(std::make_unique<TaskGroup>(shards_[i]->shard()));
    TaskGroup* group = last_tasks.back().get();
    shards_[i]->shard().post(
        [group, task = stop(home_, *shard_tasks_[i], *shards_[i], done)]() mutable { group->spawn(std::move(task)); });
    (void)co_await done.get();
    // The task has spoken, but its shard may not have put it away yet.
    for (int turn = 0; turn < 2; ++turn) (void)co_await ask(home_, *shards_[i], [](PgShard&) { return true; });
  }
  threads_.clear();  // joined: nothing runs on the other shards any more
  if (!last_tasks.empty()) co_await last_tasks.front()->join();
  shards_.clear();
  shard_tasks_.clear();
  co_await store_->stop();
}

}  // namespace spirula::osd
