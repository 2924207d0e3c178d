#include "mds/operations.h"

#include <algorithm>

#include "mds/paths.h"

namespace spirula::mds {

using cap::Group;
using msg::ClientRequest;
using msg::MdsOp;
using Mode = Claim::Mode;

std::error_code Attempt::must_list(const Inode& dir, EntryKey after_key) {
  obstacle = Obstacle::list;
  ino = dir.ino();
  after = std::move(after_key);
  return make_error_code(Errc::again);
}

std::error_code Attempt::must_load(const Inode& dir, std::string entry) {
  obstacle = Obstacle::load;
  ino = dir.ino();
  name = std::move(entry);
  return make_error_code(Errc::again);
}

std::error_code Attempt::must_find(Ino inode) {
  obstacle = Obstacle::find;
  ino = inode;
  return make_error_code(Errc::again);
}

std::error_code Attempt::must_cut(const Inode& inode) {
  obstacle = Obstacle::cut;
  ino = inode.ino();
  return make_error_code(Errc::again);
}

std::error_code Attempt::must_commit(BatchId batch_needed) {
  obstacle = Obstacle::commit;
  wait_for = batch_needed;
  return make_error_code(Errc::again);
}

void Attempt::claim(const Inode& inode, Group group, Mode mode) {
  claims.emplace_back(inode.ino(), Claim{group, mode, client});
}

Result<> Attempt::claims_met(Tree& tree) {
  for (const auto& [number, claim] : claims) {
    Inode* inode = tree.find(number);
    if (!inode || inode->caps.satisfied(claim)) continue;
    obstacle = Obstacle::claims;
    return Errc::again;
  }
  return {};
}

Result<> Attempt::visible(const Inode& inode) {
  if (inode.recovering) {
    obstacle = Obstacle::recover;
    ino = inode.ino();
    return Errc::again;
  }
  if (inode.changed_in > committed && inode.changed_by != client) return must_commit(inode.changed_in);
  return {};
}

Result<> Attempt::permitted(const Inode& inode, unsigned also) const {
  if (!access || access->allows_all() || inode.is_stray()) return {};
  const unsigned wanted = also | msg::MdsCaps::read | (writes ? msg::MdsCaps::write : 0u);
  std::string path = access->is_path_restricted() ? Tree::path_of(inode).substr(1) : std::string();
  const msg::MdsCaps::Target target{inode.record.uid, inode.record.gid, inode.record.mode};
  if (!access->allows(file_system, path, wanted, caller, target)) return Errc::access;
  return {};
}

namespace {

constexpr std::uint32_t type_mask = 0170000, directory_type = 0040000, file_type = 0100000, symlink_type = 0120000;
constexpr std::uint32_t setgid_bit = 02000;

/// Reading the groups a stat mask asks for: unless the client may cache them itself, nobody may be changing them.
Result<> claim_mask(Tree& tree, Attempt& attempt, const Inode& inode, cap::Bits mask) {
  const Cap* own = inode.caps.find(attempt.client);
  for (Group group : cap::groups) {
    cap::Bits bit = cap::in(group, cap::shared);
    if (!(mask & bit) || (own && (own->pending & bit))) continue;
    attempt.claim(inode, group, Mode::read);
  }
  return attempt.claims_met(tree);
}

/// The place that the request names, which the answer shows.
Result<Place> named_place(Tree& tree, const ClientRequest& request, Attempt& attempt, Outcome& outcome) {
  TRY(Place place, resolve_place(tree, request.path, attempt));
  outcome.dir = place.dir;
  outcome.name = place.name;
  return place;
}

/// The inode that it names, or that it knows by its number alone.
Result<> named_target(Tree& tree, const ClientRequest& request, Attempt& attempt, Outcome& outcome) {
  if (split_path(request.path.path).empty()) {
    TRY(outcome.target, resolve(tree, request.path, attempt));
    return {};
  }
  TRY(Place place, named_place(tree, request, attempt, outcome));
  if (!place.dentry) return Errc::not_found;
  outcome.target = place.inode;
  return {};
}

Result<> lookup(Tree& tree, const ClientRequest& request, Attempt& attempt, Outcome& outcome) {
  TRY(named_target(tree, request, attempt, outcome));
  return claim_mask(tree, attempt, *outcome.target, request.getattr().mask);
}

Result<> getattr(Tree& tree, const ClientRequest& request, Attempt& attempt, Outcome& outcome) {
  TRY(outcome.target, resolve(tree, request.path, attempt));
  return claim_mask(tree, attempt, *outcome.target, request.getattr().mask);
}

Result<> lookup_ino(Tree& tree, const ClientRequest& request, Attempt& attempt, Outcome& outcome) {
  Inode* inode = tree.find(Ino{request.path.ino});
  if (!inode) return attempt.must_find(Ino{request.path.ino});
  if (inode->ino() == inos::super || inode->ino() == inos::stray || inode->purging) return Errc::stale;
  TRY(attempt.visible(*inode));
  if (request.op == MdsOp::lookup_parent) {
    if (inode->is_stray()) return Errc::stale;
    inode = inode->ino() == inos::root ? inode : inode->parent_inode();
    TRY(attempt.visible(*inode));
  }
  outcome.target = inode;
  TRY(attempt.permitted(*inode));
  return claim_mask(tree, attempt, *inode, request.lookup_ino().mask);
}

Result<> lookup_name(Tree& tree, const ClientRequest& request, Attempt& attempt, Outcome& outcome) {
  Inode* inode = tree.find(Ino{request.path.ino});
  if (!inode) return attempt.must_find(Ino{request.path.ino});
  Inode* dir = tree.find(Ino{request.path2.ino});
  if (!dir) return attempt.must_find(Ino{request.path2.ino});
  if (inode->purging) return Errc::stale;
  TRY(attempt.visible(*inode));
  TRY(attempt.visible(*dir));
  TRY(attempt.permitted(*inode));
  TRY(attempt.permitted(*dir));
  outcome.target = inode;
  outcome.dir = dir;
  if (inode->parent_inode() == dir && dir->ino() != inos::super && dir->ino() != inos::stray) {
    outcome.name = inode->parent->name();
    return {};
  }
  auto other = std::ranges::find(inode->record.other_names, dir->ino(), &Location::dir);
  if (other == inode->record.other_names.end()) {
    outcome.target = outcome.dir = nullptr;
    return Errc::not_found;
  }
  outcome.name = other->name;
  return {};
}

Result<msg::FileLayout> layout_for(const ClientRequest& request, const Inode& dir, const Attempt& attempt) {
  msg::FileLayout layout = attempt.default_layout;
  // The nearest directory above that has one decides.
  for (const Inode* at = &dir; at; at = at->parent_inode()) {
    if (!at->record.has_layout) continue;
    layout = at->record.layout;
    break;
  }
  if (request.op != MdsOp::create) return layout;
  ClientRequest::Open open = request.open();
  if (open.stripe_unit) layout.stripe_unit = open.stripe_unit;
  if (open.stripe_count) layout.stripe_count = open.stripe_count;
  if (open.object_size) layout.object_size = open.object_size;
  if (open.pool > 0) layout.pool = open.pool;
  if (!layout.is_valid() || !attempt.is_data_pool(layout.pool)) return Errc::invalid;
  return layout;
}

/// A fresh inode for a create, mkdir, mknod or symlink in `dir`.
Result<InodeRecord> new_inode(const ClientRequest& request, const Inode& dir, Attempt& attempt, std::uint32_t mode) {
  InodeRecord record;
  record.ino = attempt.next_ino;
  record.mode = mode;
  record.uid = request.uid;
  record.gid = request.gid;
  if (dir.record.mode & setgid_bit) {
    record.gid = dir.record.gid;
    if (record.is_dir()) record.mode |= setgid_bit;
  }
  record.atime = record.mtime = record.ctime = record.btime = record.rctime = attempt.change(request.stamp).stamp;
  if (record.is_dir()) record.below.subdirs = 1;
  if (record.is_file()) {
    TRY(record.layout, layout_for(request, dir, attempt));
  }
  if (request.data.size()) {  // what the client's ACLs make of the parent's default one
    TRY(record.xattrs, decode<decltype(record.xattrs)>(request.data.flatten()));
    std::size_t bytes = 0;
    for (const auto& [name, value] : record.xattrs) bytes += name.size() + value.size();
    if (bytes > limits::xattrs_bytes_max) return Errc::no_space;
  }
  return record;
}

Result<> make(Tree& tree, const ClientRequest& request, Attempt& attempt, Outcome& outcome, std::uint32_t mode) {
  TRY(Place place, named_place(tree, request, attempt, outcome));
  if (place.dentry) {
    outcome.target = place.inode;
    if (attempt.completed) return {};
    return Errc::exists;
  }
  if (attempt.completed) return Errc::not_found;  // it was made, and somebody has removed it since
  TRY(check_name(place.name));
  if (place.dir->record.links == 0) return Errc::not_found;  // a removed directory
  if (request.op == MdsOp::symlink && request.path2.path.size() > limits::symlink_bytes_max - 1)
    return Errc::name_too_long;
  TRY(InodeRecord record, new_inode(request, *place.dir, attempt, mode));
  if (request.op == MdsOp::symlink) {
    record.symlink = request.path2.path;
    record.size = record.symlink.size();
  }
  if (request.op == MdsOp::mknod) record.rdev = request.mknod().rdev;
  attempt.claim(*place.dir, Group::file, Mode::write);
  attempt.claim(*place.dir, Group::auth, Mode::read);
  TRY(attempt.claims_met(tree));
  if (request.op == MdsOp::create) {
    outcome.opened = true;
    outcome.wanted = cap::wanted_by_open(request.open().flags);
    if (outcome.wanted & cap::any_file_write) record.writable_size = writable_size_for(record);
  }
  outcome.target = &tree.add(*place.dir, place.name, std::move(record), attempt.change(request.stamp));
  outcome.made_inode = outcome.changed = true;
  return {};
}

/// What an open does to an inode that is there.
Result<> open_inode(Tree& tree, const ClientRequest& request, Attempt& attempt, Outcome& outcome) {
  Inode& inode = *outcome.target;
  const std::uint32_t flags = request.open().flags;
  const bool for_write = (flags & ClientRequest::Open::access_mask) != 0;
  if ((flags & ClientRequest::Open::directory) && !inode.is_dir() && !inode.record.is_symlink())
    return Errc::not_directory;
  if (inode.is_dir() && (for_write || (flags & ClientRequest::Open::truncate))) return Errc::is_directory;
  if (for_write) attempt.writes = true;
  TRY(attempt.permitted(inode));
  outcome.opened = true;
  outcome.wanted = inode.record.is_file() ? cap::wanted_by_open(flags) : cap::pin;
  if (!inode.record.is_file()) return {};
  const bool truncates = (flags & ClientRequest::Open::truncate) && for_write && !attempt.completed;
  if (truncates) {
    attempt.claim(inode, Group::file, Mode::write);
    TRY(attempt.claims_met(tree));
  } else {
    TRY(claim_mask(tree, attempt, inode, request.open().mask));
  }
  RecursiveStats before = inode.record.contribution();
  if (truncates) {
    const ChangeContext change = attempt.change(request.stamp);
    outcome.truncated = inode.record.size > 0;
    resize(inode.record, 0, change.stamp);
    inode.record.ctime = std::max(inode.record.ctime, change.stamp);
    tree.changed(inode, before, change);
    outcome.changed = true;
  }
  if (for_write && inode.record.writable_size < writable_size_for(inode.record)) {
    inode.record.writable_size = writable_size_for(inode.record);
    tree.changed_quietly(inode);
  }
  return {};
}

Result<> open(Tree& tree, const ClientRequest& request, Attempt& attempt, Outcome& outcome) {
  TRY(named_target(tree, request, attempt, outcome));
  return open_inode(tree, request, attempt, outcome);
}

Result<> create(Tree& tree, const ClientRequest& request, Attempt& attempt, Outcome& outcome) {
  TRY(Place place, named_place(tree, request, attempt, outcome));
  if (!place.dentry) return make(tree, request, attempt, outcome, file_type | (request.open().mode & 07777));
  outcome.target = place.inode;
  if ((request.open().flags & ClientRequest::Open::exclusive) && !attempt.completed) return Errc::exists;
  return open_inode(tree, request, attempt, outcome);
}

Result<> link(Tree& tree, const ClientRequest& request, Attempt& attempt, Outcome& outcome) {
  TRY(Place place, resolve_place(tree, request.path, attempt));
  TRY(Inode * target, resolve(tree, request.path2, attempt));
  outcome.dir = place.dir;
  outcome.name = place.name;
  if (place.dentry) {
    outcome.target = place.inode;
    return Errc::exists;
  }
  TRY(check_name(place.name));
  if (target->is_dir()) return Errc::permission;
  if (target->record.links == 0 || place.dir->record.links == 0) return Errc::not_found;
  if (target->record.other_names.size() + 1 >= limits::links_max) return Errc::too_many_links;
  attempt.claim(*place.dir, Group::file, Mode::write);
  attempt.claim(*target, Group::link, Mode::write);
  TRY(attempt.claims_met(tree));
  tree.add_remote(*place.dir, place.name, *target, attempt.change(request.stamp));
  outcome.target = target;
  outcome.changed = true;
  return {};
}

/// Before the primary name of a file with more names goes, the directory of the next one is needed.
Result<> next_name_loaded(Tree& tree, Attempt& attempt, const Dentry& dentry) {
  if (!dentry.is_primary() || dentry.inode->record.other_names.empty()) return {};
  const Location& next = dentry.inode->record.other_names.front();
  Inode* dir = tree.find(next.dir);
  if (!dir) return attempt.must_find(next.dir);
  TRY(Dentry * other, find_entry(tree, *dir, next.name, attempt));
  if (!other || other->is_primary()) return Errc::io;  // the file says it has this name, the directory does not
  return {};
}

Result<> check_empty(Inode& dir, Attempt& attempt) {
  TRY(attempt.visible(dir));
  if (dir.record.files || dir.record.subdirs) return Errc::not_empty;
  return {};
}

Result<> unlink(Tree& tree, const ClientRequest& request, Attempt& attempt, Outcome& outcome) {
  TRY(Place place, named_place(tree, request, attempt, outcome));
  if (!place.dentry) return Errc::not_found;
  const bool rmdir = request.op == MdsOp::rmdir;
  if (rmdir != place.inode->is_dir()) return rmdir ? Errc::not_directory : Errc::is_directory;
  if (rmdir) TRY(check_empty(*place.inode, attempt));
  TRY(next_name_loaded(tree, attempt, *place.dentry));
  attempt.claim(*place.dir, Group::file, Mode::write);
  attempt.claim(*place.inode, Group::link, Mode::write);
  if (rmdir) attempt.claim(*place.inode, Group::file, Mode::write);
  TRY(attempt.claims_met(tree));
  outcome.unlinked = &tree.remove(*place.dir, place.name, attempt.change(request.stamp));
  outcome.changed = true;
  return {};
}

Result<> rename(Tree& tree, const ClientRequest& request, Attempt& attempt, Outcome& outcome) {
  TRY(Place to, resolve_place(tree, request.path, attempt));
  TRY(Place from, resolve_place(tree, request.path2, attempt));
  // (Said without the place: a name that is shown with nothing behind it is not there, and the kernel moves its
  // dentry.)
  if (!from.dentry || to.dir->record.links == 0) return Errc::not_found;
  outcome.dir = to.dir;
  outcome.name = to.name;
  TRY(check_name(to.name));
  if (from.inode->is_dir() && Tree::is_below(*to.dir, *from.inode)) return Errc::invalid;
  outcome.target = from.inode;
  if (to.dentry) {
    if (to.inode == from.inode) {  // two names of one file: POSIX leaves both, and clients must not move the dentry
      outcome.dir = outcome.target = nullptr;
      return {};
    }
    if (from.inode->is_dir() != to.inode->is_dir())
      return to.inode->is_dir() ? Errc::is_directory : Errc::not_directory;
    if (to.inode->is_dir()) TRY(check_empty(*to.inode, attempt));
    TRY(next_name_loaded(tree, attempt, *to.dentry));
    attempt.claim(*to.inode, Group::link, Mode::write);
    if (to.inode->is_dir()) attempt.claim(*to.inode, Group::file, Mode::write);
  }
  attempt.claim(*to.dir, Group::file, Mode::write);
  attempt.claim(*from.dir, Group::file, Mode::write);
  attempt.claim(*from.inode, Group::link, Mode::write);
  TRY(attempt.claims_met(tree));
  const ChangeContext change = attempt.change(request.stamp);
  if (to.dentry) outcome.unlinked = &tree.remove(*to.dir, to.name, change);
  tree.move(*from.dir, from.name, *to.dir, to.name, change);
  outcome.changed = true;
  outcome.touched.push_back(from.dir);
  return {};
}

}  // namespace

Result<> operate(Tree& tree, const ClientRequest& request, Attempt& attempt, Outcome& outcome) {
  switch (request.op) {
    case MdsOp::lookup:
      return lookup(tree, request, attempt, outcome);
    case MdsOp::getattr:
      return getattr(tree, request, attempt, outcome);
    case MdsOp::lookup_ino:
    case MdsOp::lookup_parent:
      return lookup_ino(tree, request, attempt, outcome);
    case MdsOp::lookup_name:
      return lookup_name(tree, request, attempt, outcome);
    case MdsOp::open:
      return open(tree, request, attempt, outcome);
    case MdsOp::create:
      return create(tree, request, attempt, outcome);
    case MdsOp::mkdir:
      return make(tree, request, attempt, outcome, directory_type | (request.mknod().mode & 07777));
    case MdsOp::mknod: {
      std::uint32_t mode = request.mknod().mode;
      if ((mode & type_mask) == directory_type || (mode & type_mask) == symlink_type) return Errc::invalid;
      return make(tree, request, attempt, outcome, mode & type_mask ? mode & 0177777 : file_type | (mode & 07777));
    }
    case MdsOp::symlink:
      return make(tree, request, attempt, outcome, symlink_type | 0777);
    case MdsOp::link:
      return link(tree, request, attempt, outcome);
    case MdsOp::unlink:
    case MdsOp::rmdir:
      return unlink(tree, request, attempt, outcome);
    case MdsOp::rename:
      return rename(tree, request, attempt, outcome);
    case MdsOp::setattr:
      return set_attributes(tree, request, attempt, outcome);
    case MdsOp::set_xattr:
    case MdsOp::remove_xattr:
      return set_xattr(tree, request, attempt, outcome);
    case MdsOp::set_layout:
    case MdsOp::set_dir_layout:
      return set_layout(tree, request, attempt, outcome);
    case MdsOp::lookup_snap:
      return Errc::not_found;
    case MdsOp::make_snap:
    case MdsOp::remove_snap:
    case MdsOp::rename_snap:
      return Errc::permission;  // what stock answers while snapshots are not allowed
    default:
      return Errc::unsupported;
  }
}

Result<> list(Tree& tree, const ClientRequest& request, Attempt& attempt, Listing& listing) {
  TRY(Inode * dir, resolve(tree, request.path, attempt));
  listing.dir = dir;
  if (!dir->is_dir()) return Errc::not_directory;
  listing.from_start = true;
  listing.to_end = true;
  if (request.op == MdsOp::list_snaps) return {};
  const ClientRequest::Readdir args = request.readdir();
  EntryKey after;
  if (!request.path2.path.empty())
    after = EntryKey(request.path2.path);
  else if ((args.flags & ClientRequest::Readdir::flag_bit_flags) && args.offset_hash)
    after = EntryKey(args.offset_hash & 0xffffff, "");
  if (!dir->dir || !dir->dir->knows_after(after)) return attempt.must_list(*dir, after);
  auto& entries = dir->dir->entries;
  auto it = entries.upper_bound(after);
  listing.from_start = after == EntryKey();
  // Not all of a large directory may be in memory: only as far as this is known.
  auto end = entries.end();
  const bool known_to_end = dir->dir->complete || !dir->dir->range->last;
  if (!known_to_end) end = entries.upper_bound(*dir->dir->range->last);
  std::size_t count_max = limits::readdir_entries_max, bytes_max = limits::readdir_bytes_max, bytes = 0;
  if (args.entries_max) count_max = std::min<std::size_t>(count_max, args.entries_max);
  if (args.bytes_max) bytes_max = std::min<std::size_t>(bytes_max, args.bytes_max);
  for (; it != end && listing.entries.size() < count_max; ++it) {
    Dentry& dentry = it->second;
    Inode* inode = dentry.is_primary() ? dentry.inode.get() : tree.find(dentry.remote);
    if (!inode) return attempt.must_find(dentry.remote);
    TRY(attempt.visible(*inode));
    std::size_t size = 400 + dentry.name().size() + inode->record.symlink.size();
    for (const auto& [name, value] : inode->record.xattrs) size += 8 + name.size() + value.size();
    if (!listing.entries.empty() && bytes + size > bytes_max) break;
    bytes += size;
    listing.entries.emplace_back(&dentry, inode);
  }
  listing.to_end = known_to_end && it == end;
  // (An empty part would read as the end.)
  if (listing.entries.empty() && !listing.to_end) return attempt.must_list(*dir, *dir->dir->range->last);
  return {};
}

}  // namespace spirula::mds
