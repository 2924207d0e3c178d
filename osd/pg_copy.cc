#include "base/log.h"
#include "msg/osd_messages.h"
#include "osd/interpreter.h"
#include "osd/pg_shard.h"

/// copy-from and copy-from2: the source is read by an ordinary request of our own, so that it is whole and durable,
/// before the request that wants it queues at its object. (Holding the one while waiting for the other could deadlock
/// two copies.) Sources on another OSD are not offered: -EOPNOTSUPP, on which clients read and write by themselves.
namespace spirula::osd {

void PgShard::fetch_copy_source(ClientOpRef op) {
  auto answer = [](std::int32_t error) {
    auto source = std::make_shared<CopySource>();
    source->result = error;
    return source;
  };
  const maps::OsdMap& map = *view_->map;
  const OsdOp* copy = nullptr;
  for (const OsdOp& each : op->object.ops)
    if (each.code == OpCode::copy_from || each.code == OpCode::copy_from2) copy = &each;
  auto order = copy ? read_copy_order(*copy) : Result<CopyOrder>(Errc::invalid);
  auto hash = order ? map.object_hash(order->locator, order->name) : Result<std::uint32_t>(order.error());
  auto pg = order ? map.object_to_pg(order->locator, order->name) : Result<PgId>(order.error());
  if (!order || !hash || !pg) {
    op->object.copy_source = answer(order ? -ENOENT : -EINVAL);
    return handle(std::move(op));
  }
  if (map.place(*pg).acting_primary != commons_.whoami) {
    op->object.copy_source = answer(-EOPNOTSUPP);
    return handle(std::move(op));
  }
  const auto& operand = copy->as<msg::CopyFromOperand>();
  ObjectId object{pg->pool,
                  *hash,
                  order->locator.name_space,
                  order->locator.key == order->name ? "" : order->locator.key,
                  order->name,
                  msg::snap_head.value};
  op->stage = "reading what it copies";
  PgShard* source = commons_.shards.at(index_of(*pg, commons_.count));
  Shard* home = &shard_;
  CopyDone done = [this, home, source, op = std::move(op)](std::shared_ptr<const CopySource> found) mutable {
    op->object.copy_source = std::move(found);
    if (source == this) return handle(std::move(op));
    home->post([this, op = std::move(op)]() mutable { handle(std::move(op)); });
  };
  if (source == this) return read_whole(*pg, std::move(object), operand.snap, operand.source_version, std::move(done));
  source->shard().post([source, pg = *pg, object = std::move(object), snap = operand.snap,
                        version = operand.source_version, done = std::move(done)]() mutable {
    source->read_whole(pg, std::move(object), snap, version, std::move(done));
  });
}

void PgShard::read_whole(PgId pg, ObjectId object, SnapId snap, std::uint64_t version, CopyDone done) {
  auto found = pgs_.find(pg);
  if (found == pgs_.end() || !found->second.ready || found->second.removing) {
    commons_.figures->dropped.add();  // as a read of it would be; the client sends again when the map changes
    return;
  }
  auto op = std::make_shared<ClientOp>();
  op->wire.pg.pg = pg;
  op->wire.object = object.name;
  op->object.head = std::move(object);
  op->object.snap = snap;
  op->object.id.client = {msg::EntityType::osd, -1};
  op->received = shard_.clock().now();
  OsdOp values(OpCode::omap_get_vals);
  values.input = encode(msg::OmapRangeInput{"", limits::omap_entries_max, ""});
  op->object.ops = {OsdOp(OpCode::stat), OsdOp(OpCode::read), OsdOp(OpCode::getxattrs), OsdOp(OpCode::omap_get_header),
                    std::move(values)};
  if (version) {
    OsdOp exactly(OpCode::assert_version);
    exactly.as<msg::AssertVersionOperand>().version = version;
    op->object.ops.push_back(std::move(exactly));
  }
  (void)classify(op->object.ops, classes(), op->nature);
  op->done = [done = std::move(done)](msg::OsdReply reply) mutable {
    auto source = std::make_shared<CopySource>();
    source->result = reply.result;
    if (reply.result >= 0) {
      auto stat = decode<msg::StatOutput>(reply.ops.at(0).output.flatten());
      auto attributes = decode<std::map<std::string, Buffer>>(reply.ops.at(2).output.flatten());
      Decoder omap(reply.ops.at(4).output.flatten());
      omap(source->omap);
      bool more = omap.read<bool>();
      if (!stat || !attributes || !omap.finish()) {
        source->result = -EIO;
      } else if (more) {
        source->result = -EOPNOTSUPP;  // more keys than one request may read
      } else {
        source->user_version = reply.user_version;
        source->modified = stat->mtime;
        source->data = reply.ops.at(1).output;
        source->attributes = std::move(*attributes);
        source->omap_header = reply.ops.at(3).output.flatten();
      }
    }
    done(std::move(source));
  };
  found->second.pg->submit(std::move(op));
}

}  // namespace spirula::osd
