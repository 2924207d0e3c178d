#include <algorithm>

#include "base/check.h"
#include "mds/tree.h"

/// What of the tree is in memory: names come from the store when they are needed, and what was not used for long and
/// nobody holds goes again.
namespace spirula::mds {

namespace {
constexpr std::size_t absent_max = 4096;
}

bool Dir::knows(const EntryKey& key) const {
  if (complete || absent.contains(key.name) || removed.contains(key.name)) return true;
  return range && range->after < key && (!range->last || key <= *range->last);
}

bool Dir::knows_after(const EntryKey& after) const {
  if (complete) return true;
  return range && range->after <= after && (!range->last || after < *range->last);
}

/// A name in memory, without its inode.
std::size_t Tree::entry_bytes(const EntryKey& key) {
  return 48 + sizeof(EntryKey) + sizeof(Dentry) + (key.name.size() > 15 ? key.name.size() + 16 : 0);
}

void Tree::begin_load(Inode& dir) {
  CHECK(dir.is_dir());
  if (!dir.dir) {
    dir.dir = std::make_unique<Dir>();
    dir.dir->inode = &dir;
  }
  ++dir.dir->loads;
}

void Tree::end_load(Inode& dir) {
  CHECK(dir.dir && dir.dir->loads > 0);
  --dir.dir->loads;
}

void Tree::forget_removed(Dir& dir) {
  if (!dir.loads)  // what one has read already may be older
    std::erase_if(dir.removed, [&](const auto& entry) { return entry.second <= committed_; });
  dir.removed_wanted = std::max(Dir::removed_wanted_min, 2 * dir.removed.size());
}

/// A stored name whose inode has another place in memory, without this name having been removed.
bool Tree::is_elsewhere(const Dir& dir, const EntryKey& key, const DentryRecord& record) {
  if (record.kind != DentryRecord::Kind::primary || dir.entries.contains(key) || dir.removed.contains(key.name))
    return false;
  return inodes_.contains(record.inode.ino);
}

/// The new inode, or null.
Inode* Tree::take_in(Inode& dir, const EntryKey& key, DentryRecord record) {
  if (dir.dir->entries.contains(key)) return nullptr;
  if (dir.dir->removed.contains(key.name)) return nullptr;
  if (record.kind == DentryRecord::Kind::remote) {
    Dentry& dentry = emplace(dir, key.name);
    dentry.remote = record.remote;
    dentry.remote_type = record.type;
    return nullptr;
  }
  const Ino ino = record.inode.ino;
  Inode& inode = attach(dir, key.name, std::make_unique<Inode>(std::move(record.inode)));
  inodes_[ino] = &inode;
  link_newest(inode);
  count(inode);
  return &inode;
}

Result<std::vector<Inode*>> Tree::fill(Inode& dir, std::map<EntryKey, DentryRecord> records, const EntryKey& after,
                                       const std::optional<EntryKey>& last) {
  std::vector<Inode*> taken;
  CHECK(dir.dir);
  if (dir.dir->complete) return taken;
  std::set<Ino> seen;
  for (const auto& [key, record] : records) {
    if (is_elsewhere(*dir.dir, key, record)) return Errc::malformed;
    if (record.kind == DentryRecord::Kind::primary && !seen.insert(record.inode.ino).second) return Errc::malformed;
  }
  for (auto& [key, record] : records)
    if (Inode* inode = take_in(dir, key, std::move(record))) taken.push_back(inode);
  // Joined with what was listed before it, or instead of it.
  Dir& known = *dir.dir;
  Dir::Range* range = known.range.get();
  if (!range || after < range->after || (range->last && *range->last < after))
    known.range = std::make_unique<Dir::Range>(after, last);
  else if (range->last && (!last || *range->last < *last))
    range->last = last;
  if (known.range->after == EntryKey() && !known.range->last) {
    known.complete = true;
    known.range.reset();
    known.absent.clear();
  }
  return taken;
}

Result<std::vector<Inode*>> Tree::fill_one(Inode& dir, const EntryKey& key, std::optional<DentryRecord> record) {
  std::vector<Inode*> taken;
  CHECK(dir.dir);
  if (dir.dir->complete) return taken;
  if (record) {
    if (is_elsewhere(*dir.dir, key, *record)) return Errc::malformed;
    if (Inode* inode = take_in(dir, key, *std::move(record))) taken.push_back(inode);
  }
  if (!dir.dir->entries.contains(key)) {
    if (dir.dir->absent.size() >= absent_max) dir.dir->absent.clear();
    dir.dir->absent.insert(key.name);
  }
  return taken;
}

void Tree::link_newest(Inode& inode) {
  inode.older = newest_;
  inode.newer = nullptr;
  (newest_ ? newest_->newer : oldest_) = &inode;
  newest_ = &inode;
}

void Tree::unlink(Inode& inode) {
  (inode.newer ? inode.newer->older : newest_) = inode.older;
  (inode.older ? inode.older->newer : oldest_) = inode.newer;
}

void Tree::touch(Inode& inode) {
  if (&inode == newest_ || &inode == super_.get()) return;
  unlink(inode);
  link_newest(inode);
}

void Tree::count(Inode& inode) {
  // (Its record's fixed part is within the inode.)
  const std::size_t cost = sizeof(Inode) + 32 + inode.record.bytes() -
                           std::min(inode.record.bytes(), std::size_t{400}) +
                           inode.caps.all().size() * (sizeof(Cap) + 64);
  bytes_ += cost - inode.cost;
  inode.cost = static_cast<std::uint32_t>(cost);
}

bool Tree::is_droppable(const Inode& inode) const {
  if (inode.ino() < inos::first || !inode.parent || inode.is_stray()) return false;
  if (!inode.caps.empty() || inode.caps.claimed() || inode.locks) return false;
  if (inode.purging || inode.cutting || inode.recovering) return false;
  if (inode.changed_in > committed_ || inode.stored_in > committed_ || dirty_.contains(location(inode))) return false;
  if (inode.dir && (inode.dir->primaries || inode.dir->loads)) return false;
  return inode.parent->dir->loads == 0;
}

void Tree::drop(Inode& inode) {
  Dir& dir = *inode.parent->dir;
  const EntryKey key = *inode.parent->key;
  bytes_ -= inode.cost;
  unlink(inode);
  if (inode.dir)
    for (const auto& [name, dentry] : inode.dir->entries) bytes_ -= entry_bytes(name);
  dir.complete = false;
  dir.range.reset();
  inodes_.erase(inode.ino());
  bytes_ -= entry_bytes(key);
  --dir.primaries;
  dir.entries.erase(key);
  if (dir.entries.empty() && dir.removed.empty() && !dir.loads) dir.inode->dir.reset();
}

std::size_t Tree::trim(std::size_t bytes_wanted, std::size_t looks_max) {
  std::size_t dropped = 0;
  for (std::size_t looks = 0; looks < looks_max && bytes_ > bytes_wanted && oldest_; ++looks) {
    Inode& inode = *oldest_;
    if (is_droppable(inode)) {
      drop(inode);
      ++dropped;
    } else {
      touch(inode);
    }
  }
  return dropped;
}

}  // namespace spirula::mds
