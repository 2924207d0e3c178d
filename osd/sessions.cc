#include "base/log.h"
#include "msg/osd_messages.h"
#include "osd/osd.h"

/// Clients' messages, from the connection to the PG.
namespace spirula::osd {

PgShard* Osd::shard_of(const Shard& shard) const {
  for (const auto& each : shards_)
    if (&each->shard() == &shard) return each.get();
  return shards_.front().get();
}

void Osd::on_accept(msg::ConnectionRef connection) {
  auto session = std::make_shared<ClientSession>();
  session->local = shard_of(connection->shard());
  session->from_mds = connection->peer_name().type == msg::EntityType::mds;
  const msg::Identity& identity = connection->identity();
  auto caps = msg::OsdCaps::parse(identity.caps);
  if (caps)
    session->caps = std::move(*caps);
  else
    log_warning("osd", "{}: capabilities that make no sense allow nothing: {}", connection->describe(), identity.caps);
  connection->context = std::move(session);
}

void Osd::on_reset(msg::ConnectionRef connection) {
  for (auto& shard : shards_) {
    PgShard* each = shard.get();
    if (each->shard().here())
      each->on_reset(connection);
    else
      each->shard().post([each, connection] { each->on_reset(connection); });
  }
  connection->context.reset();
  if (connection->peer_name().type != msg::EntityType::osd) return;
  std::int32_t osd = osd_number(connection);
  for (auto& shard : shards_) {
    PgShard* each = shard.get();
    each->shard().post([each, osd] { each->on_peer_reset(osd); });
  }
}

void Osd::on_message(msg::ConnectionRef connection, msg::Message message) {
  if (connection->peer_name().type == msg::EntityType::osd) return on_peer_message(connection, std::move(message));
  auto* session = static_cast<ClientSession*>(connection->context.get());
  if (!session) return;
  switch (message.type) {
    case msg::OsdRequest::message_type:
      return on_request(connection, *session, message);
    case msg::Command::message_type:
      return admin_.on_command(connection, message, session->caps.allows_all());
    case msg::OsdBackoff::message_type:
      return on_backoff(connection, *session, message);
    case msg::OsdMapMessage::message_type:
      return;
    default:
      log_warning("osd", "{}: message type {:#x} is not understood", connection->describe(), message.type);
  }
}

void Osd::refuse(ClientOp& op, std::int32_t error, Epoch epoch) {
  using namespace msg::request_flag;
  figures_.refused.add();
  msg::OsdReply reply;
  reply.object = op.wire.object;
  reply.pg = op.wire.pg.pg;
  reply.flags = (op.wire.flags & ~(ack | onnvram | ondisk)) | ack | ondisk;
  reply.result = error;
  reply.epoch = epoch;
  reply.ops = std::move(op.object.ops);
  for (OsdOp& each : reply.ops) each.input.clear();
  reply.retry_attempt = op.wire.retry_attempt;
  op.connection->send(msg::make_osd_reply(std::move(reply), op.tid));
}

void Osd::share_map(const msg::ConnectionRef& connection, ClientSession& session, Epoch have) {
  const MapViewRef& view = session.local->view();
  if (!view || have >= view->map->epoch || session.told >= view->map->epoch) return;
  auto message = view->message_for(std::max(have, session.told));
  session.told = view->map->epoch;
  connection->send(msg::make_message(message));
}

std::int32_t Osd::check(ClientOp& op, const ClientSession& session, const maps::OsdMap& map,
                        const maps::Pool& pool) const {
  const msg::OsdRequest& wire = op.wire;
  if (wire.object.size() > limits::object_name_max || wire.locator.key.size() > limits::object_name_max ||
      wire.locator.name_space.size() > limits::name_space_max)
    return -ENAMETOOLONG;
  op.nature = {};
  if (std::int32_t error = classify(op.object.ops, ObjectClasses::builtin(), op.nature); error < 0) return error;

  static const std::string no_name;
  auto name = map.pool_names.find(wire.pg.pg.pool);
  const std::string& pool_name = name == map.pool_names.end() ? no_name : name->second;
  const std::string& object = wire.locator.key.empty() ? wire.object : wire.locator.key;
  if (!session.caps.allows(pool_name, wire.locator.name_space, pool.applications, object, op.nature.reads,
                           op.nature.writes, op.nature.calls))
    return -EPERM;

  if (op.nature.is_listing) return 0;
  if (wire.object.empty()) return -EINVAL;
  if (op.nature.input_bytes > write_size_max_) return -EMSGSIZE;
  if (op.nature.changes && pool.has(maps::Pool::eio)) return -EIO;
  return 0;
}

void Osd::on_request(const msg::ConnectionRef& connection, ClientSession& session, msg::Message& message) {
  auto request = msg::read_osd_request(message);
  if (!request) {
    log_warning("osd", "{}: a request that does not decode ends the session", connection->describe());
    figures_.refused.add();
    connection->close();
    return;
  }
  auto op = std::make_shared<ClientOp>();
  op->connection = connection;
  op->tid = message.tid;
  op->received = session.local->shard().clock().now();
  op->budget_hold = std::move(message.budget_hold);
  op->from_mds = session.from_mds;
  op->wire = std::move(*request);
  op->wire.data.clear();
  op->object.ops = std::move(op->wire.ops);
  op->object.id = op->wire.request_id(connection->peer_name(), message.tid);
  const msg::ObjectLocator& locator = op->wire.locator;
  op->object.head = {op->wire.pg.pg.pool, op->wire.hash,
                     locator.name_space,  locator.key == op->wire.object ? "" : locator.key,
                     op->wire.object,     msg::snap_head.value};
  start(std::move(op), session);
}

/// A client has stopped sending requests to a PG or for an object. What it sent before, and waits for a map here, it
/// will send again: that must not get in front of what has been dropped.
void Osd::on_backoff(const msg::ConnectionRef& connection, ClientSession& session, const msg::Message& message) {
  auto body = msg::read_message<msg::OsdBackoff>(message);
  if (!body) {
    log_warning("osd", "{}: a backoff that does not decode ends the session", connection->describe());
    connection->close();
    return;
  }
  if (body->kind != msg::OsdBackoff::Kind::ack_block) return;
  PgId pg = body->pg.pg;
  session.waiting_bytes -= session.local->drop_waiting(connection, *body);
  PgShard* home = session.local;
  if (!home->owns(pg)) home = shards_[PgShard::index_of(pg, commons_.count)].get();
  if (home == session.local) return home->on_backoff_acknowledged(connection, *body);
  home->shard().post([home, connection, backoff = *body] { home->on_backoff_acknowledged(connection, backoff); });
}

/// Also where a request goes on that has waited for a map.
void Osd::start(ClientOpRef op, ClientSession& session) {
  const MapViewRef& view = session.local->view();
  msg::OsdRequest& wire = op->wire;
  if (!view || wire.epoch > view->map->epoch) {
    if (session.caps.allows_nothing()) return refuse(*op, -EPERM, view ? view->map->epoch : Epoch{});
    for (const OsdOp& each : op->object.ops) op->waiting_bytes += each.input.size();
    session.waiting_bytes += op->waiting_bytes;
    // What waits keeps its share of the cap: one client must not hold all of it. It starts over.
    if (session.waiting_bytes > config_.size("osd_client_message_size_cap") / 4 * 3) {
      log_warning("osd", "{}: too much waits for a map that we do not have", op->connection->describe());
      msg::ConnectionRef connection = op->connection;
      connection->close();
      return on_reset(connection);
    }
    session.local->wait_for_map(std::move(op));
    return;
  }
  const maps::OsdMap& map = *view->map;
  if (session.checked != map.epoch) {
    session.checked = map.epoch;
    session.blocklisted =
        map.is_blocklisted(op->connection->peer_address(), Time::from(session.local->shard().clock().wall()));
  }
  if (session.blocklisted) return refuse(*op, -ESHUTDOWN, map.epoch);
  if (wire.epoch < map.epoch) share_map(op->connection, session, wire.epoch);

  const maps::Pool* pool = map.pool(wire.pg.pg.pool);
  if (!pool || pool->pg_seed(wire.hash) != wire.pg.pg.seed) {
    figures_.dropped.add();  // the map we have just shared tells the client where to go
    return;
  }
  if (std::int32_t error = check(*op, session, map, *pool); error < 0) return refuse(*op, error, map.epoch);

  ObjectRequest& object = op->object;
  object.snap = wire.snap;
  object.modified = wire.mtime;
  object.now = Time::from(session.local->shard().clock().wall());
  object.client = object.id.client;
  if (op->nature.changes || op->nature.reads) object.origin = op->connection->peer_address();
  object.flags = wire.flags;
  if (op->nature.changes) {
    if (pool->has(maps::Pool::pool_snaps) && !(wire.flags & msg::request_flag::enforce_snap_context)) {
      object.snap_context = pool->snap_context();
    } else {
      object.snap_context = std::move(wire.snap_context);
      // A snapshot that is being removed needs no clone any more.
      auto removed = map.removed_snaps_queue.find(wire.pg.pg.pool);
      if (removed != map.removed_snaps_queue.end())
        std::erase_if(object.snap_context.snaps, [&](SnapId snap) {
          auto run = removed->second.upper_bound(snap.value);
          return run != removed->second.begin() && (--run, snap.value < run->first + run->second);
        });
    }
  }

  op->checked = map.epoch;
  PgShard* home = session.local;
  if (!home->owns(wire.pg.pg)) {
    home = shards_[PgShard::index_of(wire.pg.pg, commons_.count)].get();
    home->shard().post([home, op = std::move(op)]() mutable { home->handle(std::move(op)); });
    return;
  }
  home->handle(std::move(op));
}

}  // namespace spirula::osd
