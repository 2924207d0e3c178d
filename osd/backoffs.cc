#include "osd/backoffs.h"

namespace spirula::osd {

using msg::OsdBackoff;

bool Backoffs::understood_by(const msg::Connection& connection) {
  // Ceph: CEPH_FEATURE_RADOS_BACKOFF: bit 21 in its second meaning, which it has together with bit 57 (SERVER_JEWEL).
  constexpr std::uint64_t bits = std::uint64_t{1} << 21 | std::uint64_t{1} << 57;
  return (connection.peer_features() & bits) == bits;
}

void Backoffs::begin(const msg::ConnectionRef& connection, msg::ShardedPgId pg, msg::Epoch epoch, std::uint64_t id) {
  if (auto found = std::ranges::find(held_, connection, &Held::connection); found != held_.end()) {
    found->over = false;
    return;
  }
  Held& held = held_.emplace_back();
  held.connection = connection;
  held.message.pg = pg;
  held.message.epoch = epoch;
  held.message.kind = OsdBackoff::Kind::block;
  held.message.id = id;
  // All of the PG: clients look only at ranges of the PG that a request is for.
  held.message.begin.pool = pg.pg.pool;
  held.message.end = msg::HObject::max();
  connection->send(msg::make_message(held.message));
}

void Backoffs::end(Held& held) {
  held.message.kind = OsdBackoff::Kind::unblock;
  held.connection->send(msg::make_message(held.message));
}

void Backoffs::on_acknowledged(const msg::ConnectionRef& connection, std::uint64_t id) {
  auto found = std::ranges::find(held_, connection, &Held::connection);
  if (found == held_.end() || found->message.id != id) return;
  found->acknowledged = true;
  if (!found->over) return;
  end(*found);
  held_.erase(found);
}

void Backoffs::end_all(bool at_once) {
  auto may_end = [at_once](const Held& held) { return held.acknowledged || at_once; };
  for (Held& held : held_) {
    held.over = true;
    if (may_end(held)) end(held);
  }
  std::erase_if(held_, may_end);
}

}  // namespace spirula::osd
