#include "librados/op_target.h"

namespace spirula::librados {

using maps::Pool;
namespace request_flag = msg::request_flag;

Target::Target(msg::PgId whole_pg, std::string name_space, std::uint32_t from_hash)
    : fixed_pg(whole_pg), hash(from_hash ? from_hash : whole_pg.seed) {
  object.pool = whole_pg.pool;
  object.name_space = std::move(name_space);
}

namespace {

/// Whether the cluster's or the pool's flags hold this back (Ceph: Objecter::target_should_be_paused).
bool is_held_back(const maps::OsdMap& map, const Pool& pool, const Operation& operation) {
  if (!operation.writes()) return map.has(maps::map_flag::pause_read);
  if (map.has(maps::map_flag::pause_write)) return true;
  if (operation.flags & (request_flag::full_try | request_flag::full_force)) return false;
  return map.has(maps::map_flag::full) || pool.has(Pool::full);
}

}  // namespace

Target::Change Target::update(const maps::OsdMap& map, const Operation& operation) {
  const Pool* pool = map.pool(object.pool);
  if (!pool) return Change::pool_gone;
  msg::PgId next_pg;
  if (fixed_pg) {
    next_pg = *fixed_pg;
  } else {
    auto object_hash = map.object_hash(object.locator(), object.name);
    if (!object_hash) return Change::pool_gone;
    hash = *object_hash;
    next_pg = {object.pool, pool->pg_seed(hash)};
  }
  maps::Placement placement = map.place(next_pg);
  bool held = is_held_back(map, *pool, operation);
  bool same = next_pg == pg && placement.acting_primary == primary && placement.acting == acting_ &&
              placement.up == up_ && pool->size == size_ && pool->min_size == min_size_ && pool->pg_num == pg_num_;
  bool released = paused && !held;
  pg = next_pg;
  primary = placement.acting_primary;
  acting_ = std::move(placement.acting);
  up_ = std::move(placement.up);
  size_ = pool->size;
  min_size_ = pool->min_size;
  pg_num_ = pool->pg_num;
  paused = held;
  return same && !released ? Change::none : Change::moved;
}

msg::OsdRequest Target::request(const Operation& operation, const maps::OsdMap& map) const {
  msg::OsdRequest request;
  request.pg = {pg, -1};
  request.hash = hash;
  request.epoch = map.epoch;
  request.flags = operation.flags | request_flag::ondisk | request_flag::known_redirect;
  for (const msg::OsdOp& op : operation.ops) {
    if (msg::is_read(op.code)) request.flags |= request_flag::read;
    if (msg::is_write(op.code)) request.flags |= request_flag::write;
  }
  request.locator = object.locator();
  request.object = object.name;
  request.ops = operation.ops;
  request.client_features = msg::features::all;
  if (operation.mtime) request.mtime = *operation.mtime;
  if (request.flags & request_flag::write) {
    request.snap_context = operation.snap_context;
    if (const Pool* pool = map.pool(object.pool);
        pool && pool->has(Pool::pool_snaps) && !request.snap_context.sequence.value)
      request.snap_context = pool->snap_context();
  }
  request.snap = operation.snap;
  return request;
}

msg::HObject Target::place() const {
  msg::HObject at;
  at.key = object.key == object.name ? std::string{} : object.key;
  at.name = object.name;
  at.snap = object.name.empty() ? SnapId{} : msg::snap_head;
  at.hash = hash;
  at.name_space = fixed_pg ? std::string{} : object.name_space;
  at.pool = object.pool;
  return at;
}

}  // namespace spirula::librados
