#include "mds/mds.h"

#include <boost/json.hpp>
#include <charconv>

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"

namespace spirula::mds {

using namespace std::chrono_literals;
using msg::EntityType;
using msg::MdsState;

namespace {

constexpr Option rows[] = {
    {"mds_beacon_interval", OptionType::duration, "2", "how often the monitor hears from us", 0.1, 60},
    {"mds_beacon_grace", OptionType::duration, "15", "silence of the monitor after which we answer nobody", 1, 600},
    {"mds_join_fs", OptionType::text, "", "the file system to serve; empty: any"},
    {"mds_log_flush_interval", OptionType::duration, "0.1", "how long a change may wait for company in the journal", 0,
     5},
    {"mds_log_bytes_max", OptionType::size, "64M", "journal beyond this is written back at once", 1 << 20},
    {"mds_write_back_interval", OptionType::duration, "30", "between write-backs while little happens", 0.1, 3600},
    {"mds_cache_memory_limit", OptionType::size, "256M", "memory for inodes and names", 1 << 20},
    {"mds_reconnect_timeout", OptionType::duration, "45", "how long a new MDS waits for clients of the old", 0.01, 600},
    {"mds_cap_revoke_timeout", OptionType::duration, "120", "a client that keeps caps others need is evicted", 1, 3600},
};

constexpr std::size_t held_back_max = 10'000;
constexpr Duration flush_at_stop_max = 2s;

}  // namespace

std::span<const Option> options() {
  return rows;
}

Mds::Mds(Shard& shard, Config& config)
    : shard_(shard), config_(config), link_(shard, config), admin_(shard, config), tasks_(shard) {}

Mds::~Mds() = default;

void Mds::end(std::string why) {
  if (over_.is_set()) return;
  log_error("mds", "ending: {}", why);
  over_.set();
  map_changed_.set();
}

Result<> Mds::listen() {
  maps::DaemonLink::Plan plan;
  plan.name = {EntityType::mds, 0};
  plan.policy_for = [](EntityType peer) {
    msg::Policy policy;
    policy.lossy = peer != EntityType::client && peer != EntityType::mds;
    return policy;
  };
  plan.shards = {&shard_};
  TRY(link_.listen(std::move(plan), *this));
  link_.monitors().on<msg::FsMapMessage>([this](msg::FsMapMessage message) {
    auto map = decode<maps::FsMap>(message.map);
    if (!map) return log_error("mds", "the monitor sent a file system map that does not decode");
    link_.monitors().got("fsmap", message.epoch.value);
    take_map(*map);
  });
  link_.monitors().on<msg::MdsBeaconAck>([this](msg::MdsBeaconAck ack) { take_ack(ack); });
  link_.monitors().on_session([this] { beacon_now_.set(); });
  link_.monitors().subscribe("fsmap", 0);
  osd_maps_.emplace(shard_, link_.monitors());
  return {};
}

Task<Result<>> Mds::start() {
  CO_TRY(listen());
  add_admin_commands();
  CO_TRY(co_await link_.log_in());
  // Lives of one MDS share a name; the monitor gives each another id.
  librados::ObjecterOptions options{.incarnation = static_cast<std::uint32_t>(link_.monitors().global_id())};
  objecter_.emplace(shard_, link_.messenger(), link_.monitors(), *osd_maps_, options);
  link_.route(EntityType::osd, *objecter_);
  last_ack_ = shard_.clock().now();
  tasks_.spawn(beacon_loop());
  tasks_.spawn(live());
  co_return Result<>{};
}

Task<> Mds::stop(bool clean) {
  if (server_) {
    if (clean && !server_->failed() && state_ == MdsState::active) {
      // What is not in the objects yet the next life replays; but the OSDs may be going down with us.
      Event flushed;
      auto flush = [](Server& server, Event& done) -> Task<> {
        Result<> written = co_await server.flush_journal();
        if (!written) log_warning("mds", "the journal was not flushed: {}", written.error().message());
        done.set();
      };
      TaskGroup flushing(shard_);
      flushing.spawn(flush(*server_, flushed));
      Result<> in_time = co_await flushed.wait_until(shard_.clock(), shard_.clock().now() + flush_at_stop_max);
      if (!in_time) log_warning("mds", "the journal was not flushed in time");
      co_await flushing.stop();
    }
    co_await server_->stop();
  }
  if (link_.is_logged_in() && clean) {
    wanted_ = MdsState::dne;
    send_beacon();
    (void)co_await shard_.clock().sleep(50ms);  // let it out
  }
  co_await admin_.stop();
  co_await tasks_.stop();
  if (objecter_) co_await objecter_->stop();
  if (osd_maps_) osd_maps_->stop();
  co_await link_.stop();
}

// --- the monitor
// -------------------------------------------------------------------------------------------------------

void Mds::send_beacon() {
  msg::MdsBeacon beacon;
  beacon.cluster = link_.monitors().fsid();
  beacon.gid = link_.monitors().global_id();
  beacon.name = config_.id();
  beacon.address = link_.messenger().address();
  beacon.wanted = wanted_;
  beacon.sequence = ++beacon_sequence_;
  beacon.map = map_epoch_;
  beacon.join_file_system = config_.text("mds_join_fs");
  if (server_) {
    Server::Figures figures = server_->figures();
    beacon.load.requests = figures.requests;
    beacon.load.inodes = figures.inodes;
    beacon.load.dentries = figures.inodes;
    beacon.load.caps = figures.caps;
    beacon.load.sessions = figures.sessions;
  }
  beacon.metadata = maps::daemon_metadata();
  link_.monitors().send(beacon);
}

Task<> Mds::beacon_loop() {
  for (;;) {
    beacon_now_.reset();
    if (link_.is_logged_in()) send_beacon();
    MonotonicTime next = shard_.clock().now() + config_.duration("mds_beacon_interval");
    Result<> waited = co_await beacon_now_.wait_until(shard_.clock(), next);
    if (!waited && waited.error() == Errc::cancelled) co_return;
  }
}

void Mds::take_ack(const msg::MdsBeaconAck& ack) {
  if (ack.gid != link_.monitors().global_id()) return;
  last_ack_ = shard_.clock().now();
  for (auto& [connection, message] : std::exchange(held_back_, {}))
    if (server_) server_->on_message(connection, std::move(message));
}

void Mds::take_map(const maps::FsMap& map) {
  if (map.epoch < map_epoch_) return;
  map_epoch_ = map.epoch;
  const maps::MdsGid gid{link_.monitors().global_id()};
  bool here = false;
  for (const maps::FileSystem& file_system : map.file_systems) {
    auto info = file_system.mds_map.daemons.find(gid);
    if (info == file_system.mds_map.daemons.end()) continue;
    here = true;
    map_ = file_system.mds_map;
    if (state_ != info->second.state) log_info("mds", "now {}", msg::describe(info->second.state));
    state_ = info->second.state;
    if (server_) {
      server_->set_mdsmap_epoch(map_.epoch);
      server_->set_data_pools(map_.data_pools);
    }
  }
  if (auto standby = map.standbys.find(gid); standby != map.standbys.end()) {
    here = true;
    state_ = standby->second.state;
    if (!server_) wanted_ = MdsState::standby;
  }
  if (known_ && !here) end("the file system map does not have us any more");
  known_ |= here;
  map_changed_.set();
}

/// Asks for a state until the map shows it.
Task<Result<>> Mds::step(MdsState wanted) {
  wanted_ = wanted;
  beacon_now_.set();
  while (state_ != wanted) {
    if (over_.is_set()) co_return Errc::cancelled;
    map_changed_.reset();
    CO_TRY(co_await map_changed_.wait());
  }
  co_return Result<>{};
}

Task<Result<msg::Epoch>> Mds::blocklist(msg::AddressVector addresses) {
  msg::BlocklistRequest request;
  request.addresses = std::move(addresses);
  CO_TRY(msg::Message answer,
         co_await link_.monitors().exchange(msg::make_message(request), msg::DaemonReply::message_type, 30s));
  CO_TRY(msg::DaemonReply reply, msg::read_message<msg::DaemonReply>(answer));
  if (reply.result < 0) co_return from_errno(-reply.result);
  co_return reply.epoch;
}

// --- its life
// ----------------------------------------------------------------------------------------------------------

Task<> Mds::live() {
  while (state_ != MdsState::creating && state_ != MdsState::replay) {
    map_changed_.reset();
    if (!co_await map_changed_.wait() || over_.is_set()) co_return;
  }
  Result<> served = co_await serve();
  if (!served && served.error() != Errc::cancelled) end("cannot serve: " + served.error().message());
}

Task<Result<>> Mds::serve() {
  const bool creating = state_ == MdsState::creating;
  wanted_ = state_;
  ServerOptions options;
  options.journal_interval = config_.duration("mds_log_flush_interval");
  options.journal_bytes_max = config_.size("mds_log_bytes_max");
  options.cache_bytes_max = config_.size("mds_cache_memory_limit");
  options.write_back_interval = config_.duration("mds_write_back_interval");
  options.reconnect_timeout = config_.duration("mds_reconnect_timeout");
  options.revoke_timeout = config_.duration("mds_cap_revoke_timeout");
  options.session_timeout = std::chrono::seconds(map_.session_timeout_s);
  options.session_autoclose = std::chrono::seconds(map_.session_autoclose_s);
  options.data_pools = map_.data_pools;
  options.file_system = map_.name;
  // Our predecessor must be locked out before we look at its journal.
  while (true) {
    Result<> there = co_await osd_maps_->wait_for(map_.last_failure_osd_epoch, 60s);
    if (there) break;
    if (there.error() != Errc::timed_out) co_return there;
  }
  store_ = std::make_unique<RadosStore>(shard_, *objecter_, map_.metadata_pool);
  server_ = std::make_unique<Server>(shard_, *store_, options);
  server_->set_mdsmap_epoch(map_.epoch);
  server_->set_blocklist([this](msg::AddressVector addresses) { return blocklist(std::move(addresses)); });
  server_->set_pool_by_name([this](std::string_view name) -> std::optional<std::int64_t> {
    auto map = osd_maps_->current();
    return map ? map->pool_by_name(name) : std::nullopt;
  });
  server_->set_listening([this] { return !monitor_is_silent(); });
  server_->on_failure([this] { end(server_->problem()); });
  if (creating) {
    CO_TRY(co_await server_->format());
    CO_TRY(co_await step(MdsState::active));
  } else {
    Result<> replayed = co_await server_->replay();
    if (!replayed) log_error("mds", "replay: {}: {}", replayed.error().message(), server_->problem());
    CO_TRY(replayed);
    // Clients whose connection to an OSD was still being set up when it died with us try its old address until they
    // find a request late (objecter_timeout, 10 s).
    server_->raise_osd_epoch_barrier(osd_maps_->epoch());
    CO_TRY(co_await step(MdsState::reconnect));
    CO_TRY(co_await server_->reconnect());
    CO_TRY(co_await step(MdsState::rejoin));
    CO_TRY(co_await step(MdsState::active));
  }
  co_await server_->activate();
  log_info("mds", "serving file system {}", map_.name);
  co_return Result<>{};
}

bool Mds::monitor_is_silent() const {
  return shard_.clock().now() - last_ack_ > config_.duration("mds_beacon_grace");
}

void Mds::on_message(msg::ConnectionRef connection, msg::Message message) {
  if (message.type == msg::Command::message_type) {
    auto caps = msg::MdsCaps::parse(connection->identity().caps);
    return admin_.on_command(connection, message, caps && caps->allows_all());
  }
  if (!server_) return;
  if (monitor_is_silent()) {
    // The monitor may have replaced us: say nothing until it speaks to us again.
    if (held_back_.size() == held_back_max) return connection->close();  // its session would miss a message
    held_back_.emplace_back(std::move(connection), std::move(message));
    return;
  }
  server_->on_message(connection, std::move(message));
}

void Mds::on_reset(msg::ConnectionRef connection) {
  if (server_) server_->on_reset(connection);
}

// --- people
// ------------------------------------------------------------------------------------------------------------

std::string Mds::status_json() const {
  boost::json::object all{{"cluster_fsid", link_.monitors().fsid().describe()},
                          {"whoami", state_ == MdsState::active ? 0 : -1},
                          {"id", link_.monitors().global_id()},
                          {"want_state", msg::describe(wanted_)},
                          {"state", msg::describe(state_)},
                          {"fs_name", map_.name},
                          {"mdsmap_epoch", map_.epoch.value},
                          {"osdmap_epoch", osd_maps_->epoch().value}};
  return boost::json::serialize(all);
}

std::string Mds::perf_json() const {
  Server::Figures f = server_ ? server_->figures() : Server::Figures{};
  boost::json::object all{{"mds",
                           {{"request", f.requests},
                            {"reply_early", f.replies_early},
                            {"inodes", f.inodes},
                            {"caps", f.caps},
                            {"cap_messages", f.cap_messages},
                            {"sessions", f.sessions},
                            {"cache_bytes", f.cache_bytes},
                            {"dropped", f.dropped},
                            {"recalls", f.recalls},
                            {"strays_purged", f.strays_purged}}},
                          {"mds_log",
                           {{"batches", f.batches},
                            {"bytes", f.journal_bytes},
                            {"segments", f.journal_segments},
                            {"names_waiting", f.names_waiting},
                            {"bytes_waiting", f.waiting_bytes}}}};
  return boost::json::serialize(all);
}

void Mds::add_admin_commands() {
  using Arguments = msg::DaemonCommands::Arguments;
  msg::DaemonCommands& commands = admin_.commands();
  commands.add("status", "", "state of the daemon",
               [this](Arguments) -> Task<Result<std::string>> { co_return status_json(); });
  commands.add("perf dump", "", "counters", [this](Arguments) -> Task<Result<std::string>> { co_return perf_json(); });
  // Each under two names, as stock daemons have them.
  for (const char* name : {"session ls", "client ls"})
    commands.add(name, "", "sessions of clients", [this](Arguments) -> Task<Result<std::string>> {
      co_return server_ ? server_->sessions_json() : std::string("[]");
    });
  commands.add("ops", "", "requests under way", [this](Arguments) -> Task<Result<std::string>> {
    co_return server_ ? server_->requests_json() : std::string("{}");
  });
  for (const char* name : {"session evict", "client evict"})
    commands.add(name, "name=filters,type=CephString", "take everything from a client: NUMBER or id=NUMBER",
                 [this](Arguments arguments) -> Task<Result<std::string>> {
                   if (!server_) co_return Errc::again;
                   std::string_view text = arguments["filters"];
                   if (text.starts_with("id=")) text.remove_prefix(3);
                   std::int64_t number = 0;
                   auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
                   if (problem != std::errc{} || end != text.data() + text.size()) co_return Errc::invalid;
                   CO_TRY(bool there, co_await server_->evict(ClientId{number}));
                   if (!there) co_return Errc::not_found;
                   co_return std::string("{}");
                 });
  commands.add("flush journal", "", "bring everything to the directory objects",
               [this](Arguments) -> Task<Result<std::string>> {
                 if (!server_) co_return Errc::again;
                 CO_TRY(co_await server_->write_back_all());
                 co_return R"json({"message":"","return_code":0})json";
               });
  admin_.open();
}

}  // namespace spirula::mds
