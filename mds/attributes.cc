#include <algorithm>
#include <charconv>

#include "mds/operations.h"

namespace spirula::mds {

using cap::Group;
using msg::ClientRequest;
using msg::MdsOp;
using Mode = Claim::Mode;

void resize(InodeRecord& record, std::uint64_t size, Time stamp) {
  if (size < record.size) {
    ++record.truncate_sequence;
    record.truncate_size = size;
    record.truncate_from = std::max(record.truncate_from, record.size);
  }
  record.size = size;
  record.mtime = std::max(record.mtime, stamp);
}

std::uint64_t writable_size_for(const InodeRecord& record) {
  // Twice the size in whole stripes, but no more than 1024 objects ahead (Ceph:
  // mds_client_writeable_range_max_inc_objs).
  const std::uint64_t step = std::uint64_t{record.layout.object_size} * std::max(record.layout.stripe_count, 1u);
  if (!step) return 0;
  std::uint64_t wanted = std::min((record.size + 1) * 2, record.size + step * 1024);
  return std::min((wanted + step - 1) / step * step, limits::file_bytes_max);
}

Result<> set_attributes(Tree& tree, const ClientRequest& request, Attempt& attempt, Outcome& outcome) {
  using Args = ClientRequest::Setattr;
  const Args args = request.setattr();
  TRY(Inode * inode, resolve(tree, request.path, attempt));
  outcome.target = inode;
  const bool has_size = args.mask & Args::size_bit;
  if (has_size && inode->is_dir()) return Errc::is_directory;
  if (has_size && !inode->record.is_file()) return Errc::invalid;
  if (has_size && args.size > limits::file_bytes_max) return Errc::file_too_large;
  constexpr std::uint32_t auth_bits =
      Args::mode_bit | Args::uid_bit | Args::gid_bit | Args::btime_bit | Args::kill_sguid_bit;
  constexpr std::uint32_t file_bits =
      Args::mtime_bit | Args::atime_bit | Args::size_bit | Args::mtime_now_bit | Args::atime_now_bit;
  if (args.mask & auth_bits) attempt.claim(*inode, Group::auth, Mode::write);
  if (args.mask & file_bits) attempt.claim(*inode, Group::file, Mode::write);
  TRY(attempt.claims_met(tree));

  InodeRecord& record = inode->record;
  // What an earlier truncation has yet to cut lies below this one's end, and would be data again.
  if (has_size && record.truncate_from && args.size < record.size && args.size > record.truncate_size)
    return attempt.must_cut(*inode);
  const ChangeContext change = attempt.change(request.stamp);
  const RecursiveStats before = record.contribution();
  if (args.mask & Args::mode_bit) record.mode = (record.mode & ~07777u) | (args.mode & 07777);
  if (args.mask & Args::uid_bit) record.uid = args.uid;
  if (args.mask & Args::gid_bit) record.gid = args.gid;
  if (args.mask & Args::btime_bit) record.btime = args.btime;
  if ((args.mask & Args::kill_sguid_bit) && record.is_file()) {
    record.mode &= ~04000u;
    if (record.mode & 010) record.mode &= ~02000u;
  }
  if (has_size && args.size != record.size) {
    outcome.truncated = args.size < record.size;
    resize(record, args.size, change.stamp);
    if (record.writable_size) record.writable_size = std::max(record.writable_size, writable_size_for(record));
  }
  if (args.mask & Args::mtime_bit) record.mtime = args.mtime;
  if (args.mask & Args::atime_bit) record.atime = args.atime;
  if (args.mask & (Args::mtime_bit | Args::atime_bit)) ++record.time_warp_sequence;
  record.ctime = std::max(record.ctime, change.stamp);
  tree.changed(*inode, before, change);
  outcome.changed = true;
  return {};
}

namespace {

Result<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return Errc::invalid;
  return value;
}

/// "stripe_unit=65536 pool=3", or one field of it by its own attribute. Pools are known by number or name.
Result<> parse_layout(std::string_view field, std::string_view text, const Attempt& attempt, msg::FileLayout& layout) {
  if (field.empty()) {
    while (!text.empty()) {
      std::size_t end = std::min(text.find(' '), text.size());
      std::string_view pair = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      std::size_t equals = pair.find('=');
      if (equals == pair.npos) return Errc::invalid;
      TRY(parse_layout(pair.substr(0, equals), pair.substr(equals + 1), attempt, layout));
    }
    return {};
  }
  if (field == "pool_namespace") {
    layout.name_space = std::string(text);
    return {};
  }
  if ((field == "pool" || field == "pool_name") && !number(text)) {
    std::optional<std::int64_t> pool;
    if (attempt.pool_by_name) pool = (*attempt.pool_by_name)(text);
    if (!pool) return Errc::invalid;
    layout.pool = *pool;
    return {};
  }
  TRY(std::uint64_t value, number(text));
  if (value > ~std::uint32_t{0}) return Errc::invalid;
  if (field == "stripe_unit")
    layout.stripe_unit = static_cast<std::uint32_t>(value);
  else if (field == "stripe_count")
    layout.stripe_count = static_cast<std::uint32_t>(value);
  else if (field == "object_size")
    layout.object_size = static_cast<std::uint32_t>(value);
  else if (field == "pool" || field == "pool_id")
    layout.pool = static_cast<std::int64_t>(value);
  else
    return Errc::invalid;
  return {};
}

Result<> apply_layout(Tree& tree, Inode& inode, const msg::FileLayout& layout, Attempt& attempt,
                      const ClientRequest& request, Outcome& outcome) {
  if (!layout.is_valid() || !attempt.is_data_pool(layout.pool)) return Errc::invalid;
  if (!attempt.permitted(inode, msg::MdsCaps::policy)) return Errc::permission;
  if (inode.record.is_file() && (inode.record.size || inode.record.truncate_sequence > 1)) return Errc::not_empty;
  attempt.claim(inode, Group::file, Mode::write);
  TRY(attempt.claims_met(tree));
  const ChangeContext change = attempt.change(request.stamp);
  const RecursiveStats before = inode.record.contribution();
  const std::int64_t old_pool = inode.record.layout.pool;
  if (inode.record.is_file() && layout.pool != old_pool) {
    auto& old_pools = inode.record.old_pools;
    if (old_pools.size() >= limits::old_pools_max) return Errc::no_space;
    std::erase(old_pools, layout.pool);
    if (std::ranges::find(old_pools, old_pool) == old_pools.end()) old_pools.push_back(old_pool);
    tree.replace_backtrace(inode);
  }
  inode.record.layout = layout;
  inode.record.has_layout = inode.is_dir();
  inode.record.ctime = std::max(inode.record.ctime, change.stamp);
  tree.changed(inode, before, change);
  outcome.changed = true;
  return {};
}

/// The layout attributes, the only ceph.* ones that can be set; everything else of that name is the MDS's to say.
Result<> set_virtual(Tree& tree, Inode& inode, std::string_view name, const ClientRequest& request, Attempt& attempt,
                     Outcome& outcome) {
  const std::string_view prefix = inode.is_dir() ? "ceph.dir.layout" : "ceph.file.layout";
  // No folder has one: there is nothing to remove, and nothing that would heed it.
  if (inode.is_dir() && (name.starts_with("ceph.quota") || name.starts_with("ceph.dir.pin")))
    return request.op == MdsOp::remove_xattr ? Errc::no_data : Errc::unsupported;
  if (!name.starts_with(prefix) || (!inode.is_dir() && !inode.record.is_file())) return Errc::invalid;
  std::string_view field = name.substr(prefix.size());
  if (!field.empty() && field[0] != '.') return Errc::invalid;
  if (!field.empty()) field.remove_prefix(1);
  msg::FileLayout layout = inode.record.layout;
  if (inode.is_dir() && !inode.record.has_layout) layout = attempt.default_layout;
  if (request.op == MdsOp::remove_xattr) {
    if (!inode.is_dir()) return Errc::invalid;
    if (!inode.record.has_layout) return Errc::no_data;
    attempt.claim(inode, Group::file, Mode::write);
    TRY(attempt.claims_met(tree));
    const RecursiveStats before = inode.record.contribution();
    inode.record.has_layout = false;
    inode.record.layout = {};
    tree.changed(inode, before, attempt.change(request.stamp));
    outcome.changed = true;
    return {};
  }
  TRY(parse_layout(field, request.data.flatten().text(), attempt, layout));
  return apply_layout(tree, inode, layout, attempt, request, outcome);
}

}  // namespace

Result<> set_xattr(Tree& tree, const ClientRequest& request, Attempt& attempt, Outcome& outcome) {
  using Args = ClientRequest::Setxattr;
  const Args args = request.setxattr();
  TRY(Inode * inode, resolve(tree, request.path, attempt));
  outcome.target = inode;
  const std::string& name = request.path2.path;
  if (name.empty()) return Errc::invalid;
  if (name.size() > limits::name_bytes_max) return Errc::range;
  if (name.starts_with("ceph.")) return set_virtual(tree, *inode, name, request, attempt, outcome);
  attempt.claim(*inode, Group::xattr, Mode::write);
  TRY(attempt.claims_met(tree));

  auto& xattrs = inode->record.xattrs;
  const bool known = xattrs.contains(name);
  const bool removes = request.op == MdsOp::remove_xattr || (args.flags & Args::remove);
  if (removes) {
    if (!known) return Errc::no_data;
  } else {
    if (known && (args.flags & Args::create)) return Errc::exists;
    if (!known && (args.flags & Args::replace)) return Errc::no_data;
    std::size_t bytes = name.size() + request.data.size();
    for (const auto& [other, value] : xattrs)
      if (other != name) bytes += other.size() + value.size();
    if (bytes > limits::xattrs_bytes_max) return Errc::no_space;
  }
  const ChangeContext change = attempt.change(request.stamp);
  const RecursiveStats before = inode->record.contribution();
  if (removes)
    xattrs.erase(name);
  else
    xattrs[name] = Buffer::copy_of(request.data.flatten());
  ++inode->record.xattr_version;
  inode->record.ctime = std::max(inode->record.ctime, change.stamp);
  tree.changed(*inode, before, change);
  outcome.changed = true;
  return {};
}

Result<> set_layout(Tree& tree, const ClientRequest& request, Attempt& attempt, Outcome& outcome) {
  TRY(Inode * inode, resolve(tree, request.path, attempt));
  outcome.target = inode;
  const bool of_dir = request.op == MdsOp::set_dir_layout;
  if (of_dir && !inode->is_dir()) return Errc::not_directory;
  if (!of_dir && !inode->record.is_file()) return inode->is_dir() ? Errc::is_directory : Errc::invalid;
  const ClientRequest::Setlayout args = request.setlayout();
  msg::FileLayout layout = of_dir && !inode->record.has_layout ? attempt.default_layout : inode->record.layout;
  if (args.stripe_unit) layout.stripe_unit = args.stripe_unit;
  if (args.stripe_count) layout.stripe_count = args.stripe_count;
  if (args.object_size) layout.object_size = args.object_size;
  if (args.pool) layout.pool = args.pool;
  return apply_layout(tree, *inode, layout, attempt, request, outcome);
}

}  // namespace spirula::mds
