#include "osd/execution.h"

#include <algorithm>

#include "base/log.h"
#include "msg/osd_messages.h"

namespace spirula::osd {

namespace {
constexpr std::int32_t not_found = -ENOENT;
}

std::int32_t classify(const std::vector<OsdOp>& ops, const ObjectClasses& classes, RequestNature& nature) {
  if (ops.empty()) return -EINVAL;
  if (ops.size() > limits::operations_max) return -E2BIG;
  bool grows = false;
  for (const OsdOp& op : ops) {
    nature.input_bytes += op.input.size();
    if (msg::is_pg_op(op.code)) {
      nature.is_listing = true;
      nature.reads = true;
      continue;
    }
    if (op.code == OpCode::call) {
      auto& call = op.as<msg::CallOperand>();
      Buffer names = op.input.flatten();
      if (std::size_t{call.class_length} + call.method_length + call.input_length > names.size()) return -EINVAL;
      auto class_name = names.text().substr(0, call.class_length);
      auto method = names.text().substr(call.class_length, call.method_length);
      const ObjectMethod* found = classes.find(class_name, method);
      if (!found) return classes.refusal(class_name);
      nature.calls.push_back({std::string(class_name), std::string(method), found->reads, found->writes});
      if (found->writes) {
        nature.changes = nature.depends_on_content = true;
        grows = true;
      }
      continue;
    }
    if (op.code == OpCode::watch) {
      // A ping changes nothing, but is let through by whoever may write, as Ceph does.
      if (op.as<msg::WatchOperand>().op != msg::WatchOp::ping) nature.changes = true;
      nature.reads = true;
      nature.writes = nature.writes || nature.changes;
      continue;
    }
    nature.reads = nature.reads || msg::is_read(op.code);
    if (msg::is_write(op.code)) {
      nature.writes = nature.changes = true;
      switch (op.code) {
        case OpCode::remove:
        case OpCode::zero:
        case OpCode::truncate:
        case OpCode::trimtrunc:
        case OpCode::rmxattr:
        case OpCode::omap_rm_keys:
        case OpCode::omap_rm_key_range:
        case OpCode::omap_clear:
          break;
        case OpCode::copy_from:
        case OpCode::copy_from2:
          if (std::exchange(nature.copies, true)) return -EOPNOTSUPP;  // one source a request
          grows = true;
          break;
        case OpCode::rollback:
          nature.depends_on_content = true;
          [[fallthrough]];
        default:
          grows = true;
      }
    }
  }
  nature.shrinks_only = nature.changes && !grows;
  if (nature.is_listing && (nature.changes || ops.size() != 1)) return -EINVAL;
  // Stock reads inside a changing request see the object before it: they need it to hold still.
  if (nature.changes && (nature.reads || !nature.calls.empty()))
    for (const OsdOp& op : ops)
      if (msg::is_read(op.code) && op.code != OpCode::stat && op.code != OpCode::assert_version)
        nature.depends_on_content = true;
  return 0;
}

bool Execution::choose_object() {
  if (request_.snap == msg::snap_head || request_.snap == msg::snap_dir) return true;
  SnapChoice choice = choose_snap(out_.snaps, request_.snap);
  if (choice.target == SnapTarget::head) return true;
  if (choice.target == SnapTarget::nothing) {
    out_.result = not_found;
    return false;
  }
  id_.snap = choice.clone.value;
  is_clone_ = true;
  out_.read_clone = true;
  const auto* stored = inputs_.attributes(id_);
  if (!stored) return false;
  auto state = decode_state(*stored);
  if (!state || !state->stored) {
    log_error("osd", "clone {} is in its head's snap set but not in the store", id_.describe());
    out_.result = -EIO;
    return false;
  }
  out_.after = std::move(*state);
  return true;
}

Outcome Execution::run() {
  RequestNature nature;
  out_.result = classify(request_.ops, classes_, nature);
  if (out_.result < 0) return std::move(out_);
  if (nature.changes) {
    if (!request_.snap_context.is_valid() || request_.snap != msg::snap_head) {
      out_.result = -EINVAL;
      return std::move(out_);
    }
    const auto& snaps = request_.snap_context.snaps;
    may_clone_ = !snaps.empty() && snaps.front() > out_.snaps.sequence;
    constexpr std::int32_t old_snap_context = -85;  // Ceph: EOLDSNAPC, which is ERESTART
    if ((request_.flags & msg::request_flag::order_snap) && request_.snap_context.sequence < out_.snaps.sequence) {
      out_.result = old_snap_context;
      return std::move(out_);
    }
  }
  if (!choose_object()) return std::move(out_);
  // Ceph: find_object_context() without can_create. Listing snapshots works on a deleted head, too.
  bool there = request_.snap == msg::snap_dir ? before_.stored : exists();
  if (!nature.changes && !there) {
    out_.result = not_found;
    return std::move(out_);
  }

  out_.ops.resize(request_.ops.size());
  for (std::size_t i = 0; i < request_.ops.size(); ++i) {
    const OsdOp& op = request_.ops[i];
    OpResult& result = out_.ops[i];
    std::int32_t code = op.code == OpCode::notify ? notify(op, i) : execute(op, result);
    result.result = code;
    if (code < 0 && (op.flags & msg::op_flag::fail_ok) && code != -EAGAIN) code = 0;
    out_.result = code;
    if (code < 0 && !inputs_.incomplete()) break;
  }
  if (inputs_.incomplete()) return std::move(out_);
  if (out_.result >= 0 && out_.changes && (request_.flags & msg::request_flag::return_vector)) bound_output();
  if (out_.result < 0) {
    out_.changes = false;
    out_.watches.clear();
    out_.notifies.clear();
    out_.acknowledgements.clear();
    return std::move(out_);
  }
  if (!out_.changes) return std::move(out_);
  if (std::int32_t error = make_writeable(); error < 0) {
    out_ = Outcome{};
    out_.result = error;
  }
  return std::move(out_);
}

/// A change answers little, or does not happen (Ceph: osd_max_write_op_reply_len).
void Execution::bound_output() {
  for (OpResult& each : out_.ops) {
    if (each.output.size() <= limits::write_reply_max) continue;
    out_.result = each.result = -EOVERFLOW;
    each.output.clear();
  }
}

std::int32_t Execution::execute(const OsdOp& op, OpResult& result) {
  // Ceph's own clients have sent (1, -1) for "never truncated".
  auto extent_of = [&] {
    msg::ExtentOperand extent = op.extent();
    if (extent.truncate_sequence == 1 && extent.truncate_size == ~std::uint64_t{0})
      extent.truncate_sequence = 0, extent.truncate_size = 0;
    return extent;
  };
  if (msg::is_write(op.code) && op.code != OpCode::watch && op.code != OpCode::undirty &&
      op.code != OpCode::copy_from && op.code != OpCode::copy_from2)
    out_.user_changes = true;

  switch (op.code) {
    case OpCode::read:
    case OpCode::sync_read:
      return read(op, result);
    case OpCode::sparse_read:
      return sparse_read(op, result);
    case OpCode::mapext:
      return map_extents(op, result);
    case OpCode::checksum:
      return checksum(op, result);
    case OpCode::cmpext:
      return compare_extent(op);
    case OpCode::stat:
      return stat(result);
    case OpCode::isdirty: {
      result.output = encode(true);
      return 0;
    }
    case OpCode::undirty:  // there is no cache tier that could be behind
      return 0;
    case OpCode::assert_version:
      return assert_version(op.as<msg::AssertVersionOperand>().version);
    case OpCode::list_watchers:
      return list_watchers(result);
    case OpCode::list_snaps:
      return list_snaps(result);
    case OpCode::notify_ack:
      return notify_ack(op);
    case OpCode::call:
      return call(op, result);

    case OpCode::getxattr:
      return get_attribute(op, result);
    case OpCode::getxattrs:
      return get_attributes(result);
    case OpCode::cmpxattr:
      return compare_attribute(op);
    case OpCode::omap_get_keys:
      return omap_list(op, false, result);
    case OpCode::omap_get_vals:
      return omap_list(op, true, result);
    case OpCode::omap_get_vals_by_keys:
      return omap_values(op, result);
    case OpCode::omap_get_header:
      return omap_header(result);
    case OpCode::omap_cmp:
      return omap_compare(op);

    case OpCode::write:
      if (op.extent().length != op.input.size()) return -EINVAL;
      return write(extent_of(), op.input);
    case OpCode::append: {
      if (op.extent().length != op.input.size()) return -EINVAL;
      msg::ExtentOperand extent{info().size, op.extent().length, 0, info().truncate_sequence};
      return write(extent, op.input);
    }
    case OpCode::writefull:
      if (op.extent().length != op.input.size()) return -EINVAL;
      return write_full(op.input);
    case OpCode::write_same:
      return write_same(op);
    case OpCode::zero:
      return zero(extent_of());
    case OpCode::truncate:
      return truncate(extent_of());
    case OpCode::trimtrunc: {
      msg::ExtentOperand extent = extent_of();
      extent.offset = extent.truncate_size;
      return truncate(extent);
    }
    case OpCode::create:
      return create(op.flags & msg::op_flag::exclusive, op.input);
    case OpCode::remove:
      return remove();
    case OpCode::rollback:
      return roll_back(op.as<msg::SnapOperand>().snap);
    case OpCode::copy_from:
    case OpCode::copy_from2:
      return copy_from(op);
    case OpCode::set_alloc_hint:
      set_allocation_hint(op.as<msg::AllocHintOperand>());
      return 0;
    case OpCode::startsync:
      out_.changes = out_.changes || exists();
      return 0;
    case OpCode::watch:
      return watch(op.as<msg::WatchOperand>());

    case OpCode::setxattr:
      return set_attribute(op);
    case OpCode::rmxattr:
      return remove_attribute(op);
    case OpCode::omap_set_vals:
    case OpCode::omap_set_header:
    case OpCode::omap_clear:
    case OpCode::omap_rm_keys:
    case OpCode::omap_rm_key_range:
      return omap_change(op);
    default:
      return -EOPNOTSUPP;
  }
}

void Execution::make_exist() {
  out_.changes = true;
  if (exists()) return;
  if (!out_.after.stored) {
    ++out_.delta.objects;
    std::uint64_t user_version = info().user_version;
    Version prior = info().changed;
    auto truncate_sequence = info().truncate_sequence;
    auto truncate_size = info().truncate_size;
    info() = ObjectInfo{};
    info().user_version = user_version;
    info().changed = prior;
    info().truncate_sequence = truncate_sequence;
    info().truncate_size = truncate_size;
    out_.after.stored = true;
  }
  info().flags &= ~std::uint32_t{ObjectInfo::whiteout};
}

void Execution::resize(std::uint64_t size) {
  out_.delta.bytes += static_cast<std::int64_t>(size) - static_cast<std::int64_t>(info().size);
  info().size = size;
}

std::int32_t Execution::assert_version(std::uint64_t version) {
  if (version == 0) return -EINVAL;
  if (version < info().user_version) return -ERANGE;
  if (version > info().user_version) return -EOVERFLOW;
  return 0;
}

std::int32_t Execution::list_watchers(OpResult& result) {
  msg::WatchersOutput output;
  for (const auto& [key, watch] : info().watchers) {
    msg::Address address = watch.address.empty() ? msg::Address{} : watch.address.addresses.front();
    output.watchers.push_back({key.client, key.cookie, watch.timeout_seconds, address});
  }
  result.output = encode(output);
  return 0;
}

std::int32_t Execution::list_snaps(OpResult& result) {
  msg::SnapsOutput output;
  for (const Clone& clone : out_.snaps.clones) {
    msg::CloneInfo each;
    each.clone = clone.id;
    each.snaps.assign(clone.snaps.rbegin(), clone.snaps.rend());
    for (const auto& extent : clone.overlap.extents()) each.overlap.emplace_back(extent.offset, extent.length);
    each.size = clone.size;
    output.clones.push_back(std::move(each));
  }
  if (before_.exists()) output.clones.push_back({msg::snap_head, {}, {}, before_.info.size});
  output.sequence = out_.snaps.sequence;
  result.output = encode(output);
  return 0;
}

std::int32_t Execution::watch(const msg::WatchOperand& op) {
  if (!exists()) return not_found;
  WatchKey key{op.cookie, request_.client};
  std::uint32_t timeout =
      op.timeout_s ? std::min(op.timeout_s, limits::watch_timeout_max_s) : limits::watch_timeout_default_s;
  WatchInfo watch{timeout, request_.origin};
  auto found = info().watchers.find(key);
  switch (op.op) {
    case msg::WatchOp::watch:
    case msg::WatchOp::legacy_watch:
      if (found == info().watchers.end()) {
        if (info().watchers.size() >= limits::watchers_max) return -ENOSPC;
        info().watchers.emplace(key, watch);
        out_.changes = true;
      }
      out_.watches.push_back({WatchEffect::Kind::connect, key, watch, op.op != msg::WatchOp::legacy_watch});
      return 0;
    case msg::WatchOp::reconnect:
      if (found == info().watchers.end()) return -ENOTCONN;
      out_.watches.push_back({WatchEffect::Kind::connect, key, watch});
      return 0;
    case msg::WatchOp::ping:
      if (found == info().watchers.end()) return -ENOTCONN;
      out_.watches.push_back({WatchEffect::Kind::ping, key, watch});
      return 0;
    case msg::WatchOp::unwatch:
      if (found != info().watchers.end()) {
        info().watchers.erase(found);
        out_.changes = true;
        out_.watches.push_back({WatchEffect::Kind::disconnect, key, watch});
      }
      return 0;
  }
  return -EINVAL;
}

std::int32_t Execution::notify(const OsdOp& op, std::size_t index) {
  NotifyEffect effect;
  effect.cookie = op.as<msg::NotifyOperand>().cookie;
  effect.op = index;
  if (auto input = decode<msg::NotifyInput>(op.input.flatten())) {
    effect.timeout_seconds = input->timeout_s;
    effect.payload = input->payload;
  }
  if (effect.timeout_seconds == 0) effect.timeout_seconds = limits::notify_timeout_default_s;
  effect.timeout_seconds = std::min(effect.timeout_seconds, limits::notify_timeout_max_s);
  out_.notifies.push_back(std::move(effect));
  return 0;
}

std::int32_t Execution::notify_ack(const OsdOp& op) {
  if (auto input = decode<msg::NotifyAckInput>(op.input.flatten()))
    out_.acknowledgements.push_back({input->notify_id, input->cookie, input->payload, true});
  else  // an old client: the cookie is the notify's id, and it speaks for all its watches
    out_.acknowledgements.push_back({op.as<msg::NotifyOperand>().cookie, 0, {}, false});
  return 0;
}

Outcome interpret(const ObjectRequest& request, const ObjectState& before, const SnapSet& snaps,
                  const ObjectClasses& classes, Inputs& inputs) {
  inputs.begin();
  return Execution(request, before, snaps, classes, inputs).run();
}

}  // namespace spirula::osd
