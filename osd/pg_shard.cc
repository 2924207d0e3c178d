#include "osd/pg_shard.h"

#include <algorithm>

#include "base/coroutine.h"
#include "base/log.h"
#include "base/promise.h"
#include "osd/interpreter.h"

namespace spirula::osd {

OsdFigures::OsdFigures(Metrics& metrics)
    : operations(metrics.counter("osd", "op", "client requests answered")),
      reads(metrics.counter("osd", "op_r", "requests that only read")),
      writes(metrics.counter("osd", "op_w", "requests that change something")),
      read_bytes(metrics.counter("osd", "op_out_bytes", "bytes sent to clients")),
      written_bytes(metrics.counter("osd", "op_in_bytes", "bytes received from clients")),
      dropped(metrics.counter("osd", "op_dropped", "requests that clients have to send elsewhere or again")),
      refused(metrics.counter("osd", "op_refused", "requests without the right to it, or malformed")),
      backoffs(metrics.counter("osd", "backoffs", "clients asked to keep their requests to a PG or for an object")),
      read_latency(metrics.timing("osd", "op_r_latency", "from a read's arrival to its reply")),
      write_latency(metrics.timing("osd", "op_w_latency", "from a change's arrival to its reply")) {}

PgShard::PgShard(Shard& shard, unsigned index, ShardCommons& commons)
    : shard_(shard), index_(index), commons_(commons), tasks_(shard) {}
PgShard::~PgShard() = default;

Task<Result<>> PgShard::load(std::vector<filestore::CollectionInfo> collections, Epoch oldest, Epoch newest) {
  for (const auto& info : collections) {
    PgId id{info.id.pool, info.id.seed};
    if (id.pool < 0 || !owns(id)) continue;
    Slot& slot = pgs_[id];
    slot.pg = std::make_unique<PlacementGroup>(*this, id);
    ++commons_.pg_count;
    Result<> loaded = co_await slot.pg->load(info.bits);
    if (!loaded) log_error("osd", "pg {}: cannot be opened: {}", id.describe(), loaded.error().message());
    CO_TRY(loaded);
    // Maps are forgotten long after all PGs have taken them.
    if (oldest.value > 0) slot.pg->set_seen(Epoch(oldest.value - 1));
  }
  // What this OSD has stored of maps, its PGs may not have taken yet.
  for (Epoch epoch = oldest; epoch.value > 0 && epoch <= newest; ++epoch) {
    bool needed = std::ranges::any_of(pgs_, [&](const auto& each) { return each.second.pg->seen() < epoch; });
    if (!needed) continue;
    auto map = co_await map_of(epoch);
    CO_TRY(map);
    for (auto& [id, slot] : pgs_)
      if ((*map)->pool(id.pool)) slot.pg->pass_map(**map);
  }
  for (auto& [id, slot] : pgs_) slot.ready = true;
  co_return Result<>{};
}

Task<Result<OsdMapRef>> PgShard::map_of(Epoch epoch) {
  if (auto recent = recent_maps_.find(epoch); recent != recent_maps_.end()) co_return recent->second;
  auto map = co_await MapHistory::read(*commons_.store, epoch);
  co_return map;
}

void PgShard::on_map(MapViewRef view, bool serving) {
  if (stopping_) return;
  view_ = std::move(view);
  serving_ = serving;
  const maps::OsdMap& map = *view_->map;
  recent_maps_.emplace(map.epoch, view_->map);
  while (recent_maps_.size() > limits::recent_maps) recent_maps_.erase(recent_maps_.begin());
  std::vector<PgId> gone;
  for (auto& [id, slot] : pgs_) {
    if (slot.removing) continue;
    if (!map.pool(id.pool) || (slot.ready && slot.pg->is_removing())) {
      slot.removing = true;
      slot.waiting.clear();
      if (slot.ready) gone.push_back(id);
    } else if (slot.ready) {
      slot.pg->on_map(view_->map, serving_);
    }
  }
  for (PgId id : gone) tasks_.spawn(remove(id));
  if (!serving_) return;
  look_for_missing();
  auto waiting = std::exchange(waiting_for_map_, {});
  for (auto& op : waiting)
    if (op->checked == Epoch{})
      commons_.retry(std::move(op));
    else
      handle(std::move(op));
  for (auto& [epoch, action] : std::exchange(waiting_peers_, {}))
    if (epoch <= map.epoch)
      action();
    else
      waiting_peers_.emplace_back(epoch, std::move(action));
}

/// PGs that the map gives to us and that we do not have: of a new pool they start empty, all others lie elsewhere, and
/// who has a copy tells us.
void PgShard::look_for_missing() {
  const maps::OsdMap& map = *view_->map;
  incomplete_.clear();
  std::vector<PgId> fresh;
  for (const auto& [pool_id, pool] : map.pools)
    for (std::uint32_t seed = 0; seed < pool.pg_num; ++seed) {
      PgId id{pool_id, seed};
      if (!owns(id) || pgs_.contains(id)) continue;
      maps::Placement placement = map.place(id);
      if (placement.acting_primary != commons_.whoami) continue;
      if (pool.has(maps::Pool::creating)) {
        fresh.push_back(id);
      } else {
        incomplete_.emplace(id, std::move(placement));
      }
    }
  for (PgId id : fresh) {
    pgs_[id].pg = std::make_unique<PlacementGroup>(*this, id);
    ++commons_.pg_count;
    tasks_.spawn(create_new(id));
  }
}

/// A PG of a new pool. Somebody else may have been its primary before us: its history begins with the pool.
Task<> PgShard::create_new(PgId id) {
  OsdMapRef now = view_->map;
  PgInfo info;
  Epoch first = now->epoch;
  Result<> known;
  while (first.value > 1) {
    auto map = co_await map_of(Epoch(first.value - 1));
    if (stopping_) co_return;
    if (!map) {
      known = map.error();
      break;
    }
    if (!(*map)->pool(id.pool)) break;
    first = (*map)->epoch;
  }
  if (!known && first < now->epoch) {
    log_error("osd", "pg {}: who had it before is not known: it is not created", id.describe());
    --commons_.pg_count;
    pgs_.erase(id);
    co_return;
  }
  info.created = first;
  for (Epoch epoch = first; epoch <= now->epoch; ++epoch) {
    auto map = co_await map_of(epoch);
    if (stopping_) co_return;
    if (map) advance(info, **map, id, true);
  }
  co_await create(id, std::move(info), now->epoch, pg_bits(id.seed, now->pool(id.pool)->pg_num));
}

/// Another OSD's PG, of which we are to have a copy; `info` as that OSD has it at `seen`.
Task<> PgShard::create_copy(PgId id, PgInfo info, Epoch seen, unsigned bits) {
  co_await create(id, std::move(info), seen, bits);
}

Task<> PgShard::create(PgId id, PgInfo info, Epoch seen, unsigned bits) {
  Slot& slot = pgs_.at(id);
  Result<> created = co_await slot.pg->create(bits, std::move(info), seen);
  if (stopping_) co_return;
  if (created) created = co_await catch_up(*slot.pg);
  if (stopping_) co_return;
  if (!created) {
    log_error("osd", "pg {}: cannot be created: {}", id.describe(), created.error().message());
    if (created.error() != make_error_code(Errc::no_space)) store_failed(created.error());
    // No map may come for long that would make its clients ask again.
    auto waiting = std::exchange(slot.waiting, {});
    --commons_.pg_count;
    pgs_.erase(id);
    for (auto& op : waiting) {
      msg::OsdReply refused;
      refused.result = -ENOSPC;
      reply(*op, std::move(refused));
    }
    co_return;
  }
  slot.ready = true;
  if (slot.removing) {
    co_await remove(id);
    co_return;
  }
  slot.pg->on_map(view_->map, serving_);
  auto waiting = std::exchange(slot.waiting, {});
  for (auto& op : waiting) handle(std::move(op));
  auto peers = std::exchange(slot.waiting_peers, {});
  for (auto& action : peers) action();
}

/// The maps between what the PG has taken and the newest but one.
Task<Result<>> PgShard::catch_up(PlacementGroup& pg) {
  while (pg.seen().next() < view_->map->epoch) {
    auto map = co_await map_of(pg.seen().next());
    if (stopping_) co_return Errc::cancelled;
    if (!map) break;  // a gap: the PG will notice
    if (!(*map)->pool(pg.id().pool)) break;
    pg.pass_map(**map);
  }
  co_return Result<>{};
}

Task<> PgShard::remove(PgId id) {
  Slot& slot = pgs_.at(id);
  log_info("osd", "pg {}: it is needed here no more, removing it", id.describe());
  Result<> removed = co_await slot.pg->remove();
  if (stopping_) co_return;
  if (!removed) {
    log_error("osd", "pg {}: removal: {}", id.describe(), removed.error().message());
    if (removed.error() == make_error_code(Errc::no_space))
      slot.remove_again = true;  // tick() does: room comes with the store's commits
    else
      store_failed(removed.error());
    co_return;
  }
  co_await slot.pg->stop();
  if (stopping_) co_return;
  --commons_.pg_count;
  auto told = std::exchange(slot.told, {});
  pgs_.erase(id);
  for (PeerRequest& request : told) handle_peer(std::move(request));
}

void PgShard::wait_for_map(ClientOpRef op) {
  if (stopping_) return;
  op->stage = "waiting for a map";
  if (waiting_for_map_.size() >= limits::waiting_operations_max) waiting_for_map_.pop_front();
  waiting_for_map_.push_back(std::move(op));
}

void PgShard::handle(ClientOpRef op) {
  if (stopping_) return;
  if (!serving_ || op->checked > view_->map->epoch) return wait_for_map(std::move(op));
  if (op->checked < view_->map->epoch && is_fenced(*op)) {
    msg::OsdReply refused;
    refused.result = -ESHUTDOWN;
    return reply(*op, std::move(refused));
  }
  if (op->nature.copies && !op->object.copy_source) return fetch_copy_source(std::move(op));
  auto found = pgs_.find(op->wire.pg.pg);
  if (found == pgs_.end() || found->second.removing) {
    commons_.figures->dropped.add();
    return;
  }
  if (!found->second.ready) {
    op->stage = "waiting for its PG";
    if (found->second.waiting.size() >= limits::waiting_operations_max) found->second.waiting.pop_front();
    found->second.waiting.push_back(std::move(op));
    return;
  }
  found->second.pg->submit(std::move(op));
}

/// Its sender has been blocklisted since the request was checked.
bool PgShard::is_fenced(const ClientOp& op) const {
  return op.connection && view_->map->is_blocklisted(op.object.origin, Time::from(shard_.clock().wall()));
}

void PgShard::on_reset(const msg::ConnectionRef& connection) {
  std::erase_if(waiting_for_map_, [&](const ClientOpRef& op) { return op->connection == connection; });
  for (auto& [id, slot] : pgs_)
    if (slot.ready) slot.pg->on_reset(connection);
}

namespace {
/// Its client, on that connection, sends it again later.
bool is_kept(const ClientOp& op, const msg::ConnectionRef& connection, const msg::OsdBackoff& backoff) {
  return op.connection == connection && op.wire.pg.pg == backoff.pg.pg && backoff.covers(place_of(op.object.head));
}
}  // namespace

std::uint64_t PgShard::drop_waiting(const msg::ConnectionRef& connection, const msg::OsdBackoff& backoff) {
  std::uint64_t bytes = 0;
  std::erase_if(waiting_for_map_, [&](const ClientOpRef& op) {
    if (!is_kept(*op, connection, backoff)) return false;
    bytes += op->waiting_bytes;
    return true;
  });
  return bytes;
}

void PgShard::on_backoff_acknowledged(const msg::ConnectionRef& connection, const msg::OsdBackoff& backoff) {
  drop_waiting(connection, backoff);
  auto found = pgs_.find(backoff.pg.pg);
  if (found == pgs_.end()) return;
  std::erase_if(found->second.waiting, [&](const ClientOpRef& op) { return is_kept(*op, connection, backoff); });
  if (found->second.ready) found->second.pg->on_backoff_acknowledged(connection, backoff.id);
}

template <class M>
void PgShard::defer(M message) {
  if (waiting_peers_.size() >= limits::waiting_peer_messages_max) waiting_peers_.pop_front();
  Epoch epoch = message.epoch;
  waiting_peers_.emplace_back(epoch,
                              [this, message = std::move(message)]() mutable { handle_peer(std::move(message)); });
}

template <class M>
void PgShard::deliver(M message, void (PlacementGroup::*take)(M)) {
  if (stopping_) return;
  if (!serving_ || message.epoch > view_->map->epoch) return defer(std::move(message));
  auto found = pgs_.find(message.pg);
  if (found == pgs_.end() || found->second.removing) return;
  if (found->second.ready) return (found->second.pg.get()->*take)(std::move(message));
  found->second.waiting_peers.push_back(
      [this, take, message = std::move(message)]() mutable { deliver(std::move(message), take); });
}

void PgShard::handle_peer(PeerReply reply) {
  deliver(std::move(reply), &PlacementGroup::on_reply);
}
void PgShard::handle_peer(ReplicaWrite write) {
  deliver(std::move(write), &PlacementGroup::on_write);
}
void PgShard::handle_peer(ReplicaAck ack) {
  deliver(std::move(ack), &PlacementGroup::on_ack);
}

/// Also where a PG that we do not have begins: when somebody tells its new primary of it, or its primary wants a copy
/// here.
void PgShard::handle_peer(PeerRequest request) {
  if (stopping_) return;
  if (!serving_ || request.epoch > view_->map->epoch) return defer(std::move(request));
  auto found = pgs_.find(request.pg);
  bool here = found != pgs_.end();
  const maps::Pool* pool = view_->map->pool(request.pg.pool);
  if (!here && pool && request.pg.seed < pool->pg_num) {
    maps::Placement placement = view_->map->place(request.pg);
    auto in = [&](const std::vector<std::int32_t>& set) {
      return std::ranges::find(set, commons_.whoami) != set.end();
    };
    std::optional<PgInfo> info;
    if (request.kind == PeerRequest::Kind::notify && placement.acting_primary == commons_.whoami) {
      if (auto copy = decode<CopyInfo>(request.payload); copy && copy->exists) {
        info = std::move(copy->info);
      }
    } else if (request.kind == PeerRequest::Kind::activate && placement.acting_primary == request.from &&
               (in(placement.acting) || in(placement.up))) {
      if (auto activation = decode<Activation>(request.payload)) info = std::move(activation->info);
    }
    if (info) {
      info->complete = false;  // we have nothing of it yet
      info->cursor = {};
      info->removing = false;
      info->last_started = info->last_clean = {};
      log_info("osd", "pg {}: a copy of osd.{}'s is made here", request.pg.describe(), request.from);
      pgs_[request.pg].pg = std::make_unique<PlacementGroup>(*this, request.pg);
      ++commons_.pg_count;
      incomplete_.erase(request.pg);
      Epoch seen = request.epoch;
      PgId id = request.pg;
      pgs_[id].waiting_peers.push_back(
          [this, request = std::move(request)]() mutable { handle_peer(std::move(request)); });
      tasks_.spawn(create_copy(id, std::move(*info), seen, pg_bits(id.seed, pool->pg_num)));
      return;
    }
  }
  if (here && !found->second.removing) return deliver(std::move(request), &PlacementGroup::on_request);
  if (here && request.kind == PeerRequest::Kind::notify) {
    auto& told = found->second.told;
    std::erase_if(told, [&](const PeerRequest& each) { return each.from == request.from; });
    told.push_back(std::move(request));
    return;
  }
  if (request.tid == 0) return;
  PeerReply reply;
  reply.pg = request.pg;
  reply.epoch = view_->map->epoch;
  reply.from = commons_.whoami;
  reply.tid = request.tid;
  if (request.kind == PeerRequest::Kind::info && !here)
    reply.payload = encode(CopyInfo{});
  else
    reply.result = -EIO;  // what is being removed cannot be a copy yet
  send_to_osd(request.from, msg::make_message(reply));
}

void PgShard::on_peer_reset(std::int32_t osd) {
  if (stopping_) return;
  for (auto& [id, slot] : pgs_)
    if (slot.ready && !slot.removing) slot.pg->on_peer_reset(osd);
}

void PgShard::send_to_osd(std::int32_t osd, msg::Message message) {
  if (!commons_.connect) return;
  if (auto connection = commons_.connect(osd, *this)) connection->send(std::move(message));
}

bool PgShard::begin_recovery() {
  if (++commons_.recoveries <= limits::recoveries_per_osd) return true;
  --commons_.recoveries;
  return false;
}

void PgShard::request_up_thru(Epoch wanted) {
  if (commons_.request_up_thru) commons_.request_up_thru(wanted);
}

void PgShard::request_acting(PgId pg, std::vector<std::int32_t> acting) {
  if (commons_.request_acting) commons_.request_acting(pg, std::move(acting));
}

Task<msg::DaemonCommands::Answer> PgShard::command(PgId id, std::string name,
                                                   msg::DaemonCommands::Arguments arguments) {
  using Answer = msg::DaemonCommands::Answer;
  constexpr auto patience = std::chrono::seconds(60);
  auto found = pgs_.find(id);
  if (found == pgs_.end() || found->second.removing)
    co_return Answer{.result = -ENOENT, .text = "i don't have pgid " + id.describe()};
  if (!found->second.ready || !found->second.pg->is_primary())
    co_return Answer{.result = -EAGAIN, .text = "not primary for pgid " + id.describe()};
  Promise<Answer> promise;
  found->second.pg->command(std::move(name), std::move(arguments),
                            [promise](Answer answer) mutable { promise.set(std::move(answer)); });
  Clock& clock = shard_.clock();
  auto answer = co_await promise.get_until(clock, clock.now() + patience);
  if (!answer) co_return Answer{.result = -EAGAIN, .text = "pg " + id.describe() + " began to peer again"};
  co_return std::move(*answer);
}

void PgShard::tick() {
  cautious_ = commons_.store->statistics().bytes_available < limits::cautious_below_bytes;
  std::vector<PgId> again;
  for (auto& [id, slot] : pgs_) {
    if (slot.ready && !slot.removing) slot.pg->tick();
    if (slot.ready && !slot.removing && slot.pg->is_unwanted()) slot.removing = slot.remove_again = true;
    if (std::exchange(slot.remove_again, false)) again.push_back(id);
  }
  for (PgId id : again) tasks_.spawn(remove(id));
}

std::uint64_t PgShard::bytes_stored() const {
  std::uint64_t bytes = 0;
  for (const auto& [id, slot] : pgs_)
    if (slot.ready && !slot.removing) bytes += slot.pg->bytes_stored();
  return bytes;
}

std::vector<msg::PgReport> PgShard::reports(Which which) {
  std::vector<msg::PgReport> reports;
  if (!view_ || !serving_) return reports;
  for (auto& [id, slot] : pgs_) {
    if (!slot.ready || slot.removing || !slot.pg->is_primary()) continue;
    bool changed = slot.reported != slot.pg->report_version();
    bool counted = which == Which::sums && slot.activity != slot.pg->activity();
    if (which != Which::all && !changed && !counted) continue;
    slot.reported = slot.pg->report_version();
    slot.activity = slot.pg->activity();
    reports.push_back(slot.pg->report());
  }
  for (const auto& [id, placement] : incomplete_) {
    msg::PgReport report;
    report.pg = id;
    report.state = msg::pg_state::incomplete;
    report.reported_epoch = view_->map->epoch;
    report.up = placement.up;
    report.acting = placement.acting;
    reports.push_back(std::move(report));
  }
  return reports;
}

void PgShard::for_each_operation(const std::function<void(const ClientOp&)>& visit) const {
  for (const auto& op : waiting_for_map_) visit(*op);
  for (const auto& [id, slot] : pgs_) {
    for (const auto& op : slot.waiting) visit(*op);
    if (slot.pg) slot.pg->for_each_operation(visit);
  }
}

std::size_t PgShard::operations_in_flight() const {
  std::size_t count = waiting_for_map_.size();
  for (const auto& [id, slot] : pgs_) count += slot.waiting.size() + (slot.pg ? slot.pg->operations_in_flight() : 0);
  return count;
}

Task<> PgShard::stop() {
  stopping_ = true;
  waiting_for_map_.clear();
  co_await tasks_.stop();
  for (auto& [id, slot] : pgs_) co_await slot.pg->stop();
  pgs_.clear();
}

void PgShard::reply(ClientOp& op, msg::OsdReply reply) {
  if (!op.connection) {
    if (op.done) op.done(std::move(reply));
    return;
  }
  using namespace msg::request_flag;
  reply.object = std::move(op.wire.object);
  reply.pg = op.wire.pg.pg;
  reply.flags = (op.wire.flags & ~(ack | onnvram | ondisk)) | ack | ondisk;
  reply.epoch = epoch();
  reply.retry_attempt = op.wire.retry_attempt;
  OsdFigures& figures = *commons_.figures;
  Duration took = shard_.clock().now() - op.received;
  figures.operations.add();
  if (op.nature.changes) {
    figures.writes.add();
    figures.written_bytes.add(op.nature.input_bytes);
    figures.write_latency.record(took);
  } else {
    figures.reads.add();
    figures.read_latency.record(took);
  }
  auto message = msg::make_osd_reply(std::move(reply), op.tid);
  figures.read_bytes.add(message.data.size());
  op.connection->send(std::move(message));
}

std::size_t PgShard::log_entries_max() {
  std::uint64_t share = limits::log_entries_total / std::max<std::uint64_t>(1, commons_.pg_count);
  return std::min(commons_.log_entries_max, std::max<std::size_t>(share, limits::log_entries_min));
}

std::size_t PgShard::idle_objects_max() {
  std::uint64_t share = limits::idle_objects_total / std::max<std::uint64_t>(1, commons_.pg_count);
  return std::max<std::size_t>(share, limits::idle_objects_min);
}

bool PgShard::is_full() {
  auto statistics = commons_.store->statistics();
  std::uint64_t margin =
      std::clamp(statistics.bytes_total / 16, limits::failsafe_bytes_min, limits::failsafe_bytes_max);
  return statistics.bytes_available < margin;
}

std::uint64_t PgShard::make_room() {
  // What was freed just now may come too late for the one under way.
  std::uint64_t wanted = room_wanted_ = room_attempts_ + (making_room_ ? 2 : 1);
  if (!std::exchange(making_room_, true)) tasks_.spawn(commit_for_room());
  return wanted;
}

Task<> PgShard::commit_for_room() {
  while (room_attempts_ < room_wanted_) {
    for (int i = 0; i < limits::commits_until_room; ++i) {
      Result<> committed = co_await commons_.store->commit();
      if (stopping_) co_return;
      if (!committed) {
        commons_.on_store_failed(committed.error());
        co_return;
      }
    }
    ++room_attempts_;
    for (auto& [id, slot] : pgs_)
      if (slot.ready && !slot.removing) slot.pg->on_room();
  }
  making_room_ = false;
}

std::uint64_t PgShard::next_notify_id() {
  // Ceph: (epoch << 32) | counter. Two incarnations of a daemon never share an epoch.
  return (std::uint64_t{epoch().value} << 32) | (commons_.next_notify.fetch_add(1) & 0xffffffff);
}

}  // namespace spirula::osd
