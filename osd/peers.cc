#include "base/coroutine.h"
#include "base/log.h"
#include "osd/osd.h"
#include "osd/peer_messages.h"

/// Other OSDs: sessions, their messages up to the PG, and whether they live.
namespace spirula::osd {

using namespace std::chrono_literals;

/// On the shard of `from`. Sessions are lossless and shared with the one the peer made, if it did.
msg::ConnectionRef Osd::connect_to(std::int32_t osd, PgShard& from) {
  if (!from.view() || stopping_) return nullptr;
  const maps::Osd* peer = from.view()->map->osd(osd);
  if (!peer || !peer->is_up() || osd == whoami_) return nullptr;
  Link& link = links_.at(from.index())[osd];
  if (!link.connection || link.connection->closed() || link.address != peer->client) {
    link.address = peer->client;
    link.connection = link_.messenger().connect(from.shard(), msg::EntityType::osd, peer->client);
  }
  return link.connection;
}

/// What the map shows no more is not tried any longer. If we are down ourselves, nobody takes us for who we were.
void Osd::drop_links(PgShard& shard, const maps::OsdMap& map, bool serving) {
  std::erase_if(links_.at(shard.index()), [&](auto& each) {
    auto& [osd, link] = each;
    const maps::Osd* peer = map.osd(osd);
    if (serving && peer && peer->is_up() && peer->client == link.address) return false;
    if (link.connection) {
      auto connection = link.connection;
      connection->shard().post([connection] { connection->close(); });
    }
    return true;
  });
}

std::int32_t Osd::osd_number(const msg::ConnectionRef& connection) {
  return static_cast<std::int32_t>(connection->peer_name().number);
}

template <class M>
void Osd::hand_over(const msg::ConnectionRef& connection, const msg::Message& message) {
  auto body = msg::read_message<M>(message);
  if (!body || body->from != osd_number(connection)) {
    log_warning("osd", "{}: a message that does not decode, or of another OSD", connection->describe());
    return;
  }
  PgShard* home = shards_[PgShard::index_of(body->pg, commons_.count)].get();
  if (home->shard().here()) return home->handle_peer(std::move(*body));
  home->shard().post([home, body = std::move(*body)]() mutable { home->handle_peer(std::move(body)); });
}

void Osd::on_peer_message(const msg::ConnectionRef& connection, msg::Message message) {
  // A key for one OSD must not speak for another. Whom we called, we called by its address in the map.
  const msg::Identity& identity = connection->identity();
  bool called_us = identity.name.type != static_cast<std::uint32_t>(msg::EntityType::none);
  if (identity.authenticated && called_us &&
      (identity.name.type != static_cast<std::uint32_t>(msg::EntityType::osd) ||
       identity.name.id != std::to_string(osd_number(connection)))) {
    log_warning("osd", "{} is {}: not listened to", connection->describe(), identity.name.describe());
    return;
  }
  switch (message.type) {
    case PeerRequest::message_type:
      return hand_over<PeerRequest>(connection, message);
    case PeerReply::message_type:
      return hand_over<PeerReply>(connection, message);
    case ReplicaWrite::message_type:
      return hand_over<ReplicaWrite>(connection, message);
    case ReplicaAck::message_type:
      return hand_over<ReplicaAck>(connection, message);
    case PeerPing::message_type: {
      auto ping = msg::read_message<PeerPing>(message);
      if (!ping) return;
      std::int32_t osd = osd_number(connection);
      if (!ping->answer) {
        PeerPing answer = *ping;
        answer.from = whoami_;
        answer.answer = true;
        connection->send(msg::make_message(answer));
      }
      home_.post([this, osd] {
        if (auto found = health_.find(osd); found != health_.end()) found->second.heard = home_.clock().now();
      });
      return;
    }
    default:
      return;
  }
}

void Osd::on_connect_failed(msg::ConnectionRef connection, std::error_code why) {
  if (why != make_error_code(Errc::refused)) return;
  // Its process is gone, and the port with it.
  home_.post([this, address = connection->peer_address()] {
    if (stopping_ || !serving_ || !link_.is_logged_in()) return;
    const maps::OsdMap& map = *history_.newest()->map;
    for (std::int32_t osd = 0; osd < static_cast<std::int32_t>(map.osds.size()); ++osd) {
      const maps::Osd* peer = map.osd(osd);
      if (osd == whoami_ || !peer || !peer->is_up() || peer->client != address) continue;
      PeerHealth& health = health_[osd];
      if (health.reported != MonotonicTime{} && home_.clock().now() - health.reported < 1s) continue;
      health.reported = home_.clock().now();
      report_failure(osd, *peer, 1s, true, false);
    }
  });
}

void Osd::report_failure(std::int32_t osd, const maps::Osd& peer, Duration silence, bool refused, bool alive) {
  msg::OsdFailure failure;
  failure.reporter = whoami_;
  failure.target = osd;
  failure.target_address = peer.client;
  failure.map = history_.epoch();
  failure.failed_for_ms =
      static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(silence).count());
  failure.refused = refused;
  failure.alive = alive;
  link_.monitors().send(failure);
}

/// Once a second: a ping to every OSD that is up, and to the monitor a word about those that do not answer.
Task<> Osd::watch_peers() {
  constexpr auto suspicious_after = 3s;
  while (!stopping_) {
    Result<> slept = co_await home_.clock().sleep(1s);
    if (!slept) co_return;
    if (!serving_ || !link_.is_logged_in()) {
      health_.clear();
      continue;
    }
    MonotonicTime now = home_.clock().now();
    OsdMapRef map = history_.newest()->map;
    std::erase_if(health_, [&](const auto& each) { return !map->is_up(each.first); });
    for (std::int32_t osd = 0; osd < static_cast<std::int32_t>(map->osds.size()); ++osd) {
      const maps::Osd* peer = map->osd(osd);
      if (osd == whoami_ || !peer || !peer->is_up()) continue;
      PeerHealth& health = health_[osd];
      if (health.born != peer->info.up_from || health.heard == MonotonicTime{}) {
        health = {};
        health.born = peer->info.up_from;
        health.heard = now;
      }
      Duration silence = now - health.heard;
      if (silence >= suspicious_after) {
        health.reported = now;
        report_failure(osd, *peer, silence, false, false);
      } else if (health.reported != MonotonicTime{}) {
        health.reported = {};
        report_failure(osd, *peer, silence, false, true);
      }
      PeerPing ping;
      ping.from = whoami_;
      ping.stamp = static_cast<std::uint64_t>(now.time_since_epoch().count());
      if (auto connection = connect_to(osd, *shards_.front())) connection->send(msg::make_message(ping));
    }
  }
}

void Osd::request_up_thru(Epoch wanted) {
  MonotonicTime now = home_.clock().now();
  if (stopping_ || !link_.is_logged_in() || (wanted <= up_thru_asked_ && now - up_thru_asked_at_ < 900ms)) return;
  up_thru_asked_ = wanted;
  up_thru_asked_at_ = now;
  msg::OsdAlive alive;
  alive.osd = whoami_;
  alive.map = history_.epoch();
  alive.wanted = wanted;
  link_.monitors().send(alive);
}

/// PGs ask at the same time, and every answer is a new map: they are collected for a moment.
void Osd::request_acting(PgId pg, std::vector<std::int32_t> acting) {
  if (stopping_) return;
  bool first = acting_wanted_.empty();
  acting_wanted_[pg] = std::move(acting);
  if (first) tasks_.spawn(send_acting());
}

Task<> Osd::send_acting() {
  constexpr auto moment = 20ms;
  Result<> slept = co_await home_.clock().sleep(moment);
  auto wanted = std::exchange(acting_wanted_, {});
  if (!slept || !link_.is_logged_in()) co_return;
  msg::OsdPgTemp message;
  message.osd = whoami_;
  message.map = history_.epoch();
  message.acting = std::move(wanted);
  link_.monitors().send(message);
}

}  // namespace spirula::osd
