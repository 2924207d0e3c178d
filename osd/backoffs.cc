#include "osd/backoffs.h"

namespace spirula::osd {

using msg::OsdBackoff;

const ObjectId Backoffs::whole_pg;

bool Backoffs::understood_by(const msg::Connection& connection) {
  // Ceph: CEPH_FEATURE_RADOS_BACKOFF: bit 21 in its second meaning, which it has together with bit 57 (SERVER_JEWEL).
  constexpr std::uint64_t bits = std::uint64_t{1} << 21 | std::uint64_t{1} << 57;
  return (connection.peer_features() & bits) == bits;
}

void Backoffs::begin(const msg::ConnectionRef& connection, const ObjectId& object, msg::ShardedPgId pg,
                     msg::Epoch epoch, std::uint64_t id) {
  Clients& clients = held_[object];
  if (auto found = std::ranges::find(clients, connection, &Held::connection); found != clients.end()) {
    found->over = false;
    return;
  }
  Held& held = clients.emplace_back();
  held.connection = connection;
  held.message.pg = pg;
  held.message.epoch = epoch;
  held.message.kind = OsdBackoff::Kind::block;
  held.message.id = id;
  if (object == whole_pg) {
    // Clients look only at ranges of the PG that a request is for.
    held.message.begin.pool = pg.pg.pool;
    held.message.end = msg::HObject::max();
  } else {
    held.message.begin = held.message.end = place_of(object);
  }
  connection->send(msg::make_message(held.message));
}

void Backoffs::on_acknowledged(const msg::ConnectionRef& connection, std::uint64_t id) {
  for (auto& [object, clients] : held_) {
    auto found = std::ranges::find(clients, connection, &Held::connection);
    if (found == clients.end() || found->message.id != id) continue;
    found->acknowledged = true;
    if (!found->over) return;
    unblock(*found);
    clients.erase(found);
    break;
  }
  tidy();
}

void Backoffs::unblock(Held& held) {
  held.message.kind = OsdBackoff::Kind::unblock;
  held.connection->send(msg::make_message(held.message));
}

void Backoffs::end(Clients& clients, bool at_once) {
  auto may_end = [at_once](const Held& held) { return held.acknowledged || at_once; };
  for (Held& held : clients) {
    held.over = true;
    if (may_end(held)) unblock(held);
  }
  std::erase_if(clients, may_end);
}

void Backoffs::end(const ObjectId& object) {
  auto found = held_.find(object);
  if (found == held_.end()) return;
  end(found->second, false);
  tidy();
}

void Backoffs::end_all(bool at_once) {
  for (auto& [object, clients] : held_) end(clients, at_once);
  tidy();
}

void Backoffs::forget(const msg::ConnectionRef& connection) {
  auto of_connection = [&](const Held& held) { return held.connection == connection; };
  for (auto& [object, clients] : held_) std::erase_if(clients, of_connection);
  tidy();
}

}  // namespace spirula::osd
