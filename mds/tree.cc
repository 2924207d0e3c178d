#include "mds/tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace spirula::mds {

std::size_t Tree::LocationHash::operator()(const Location& at) const {
  return std::hash<std::string>{}(at.name) * 31 + at.dir.value;
}

Tree::Tree() {
  InodeRecord record;
  record.ino = inos::super;
  record.mode = 0040700;
  super_ = std::make_unique<Inode>(record);
  inodes_[inos::super] = super_.get();
}

Tree::~Tree() = default;

void Tree::format(Time now) {
  super_->dir = std::make_unique<Dir>();
  super_->dir->inode = super_.get();
  super_->dir->complete = true;
  InodeRecord record;
  record.mode = 0040755;
  record.atime = record.mtime = record.ctime = record.btime = record.rctime = now;
  record.below.subdirs = 1;
  record.ino = inos::root;
  add(*super_, "root", record, {.stamp = now});
  record.ino = inos::stray;
  add(*super_, "stray", record, {.stamp = now});
}

Inode* Tree::find(Ino ino) {
  auto it = inodes_.find(ino);
  return it == inodes_.end() ? nullptr : it->second;
}

Dentry* Tree::lookup(Inode& dir, const std::string& name) {
  CHECK(dir.dir);
  auto it = dir.dir->entries.find(EntryKey(name));
  return it == dir.dir->entries.end() ? nullptr : &it->second;
}

Location Tree::location(const Inode& inode) {
  CHECK(inode.parent);
  return {inode.parent->dir->inode->ino(), inode.parent->name()};
}

std::string Tree::path_of(const Inode& inode) {
  if (inode.ino() == inos::root) return "/";
  std::string path;
  for (const Inode* at = &inode; at->parent && at->ino() != inos::root; at = at->parent_inode())
    path = "/" + at->parent->name() + path;
  return path;
}

bool Tree::is_below(const Inode& inode, const Inode& above) {
  for (const Inode* at = &inode; at; at = at->parent_inode())
    if (at == &above) return true;
  return false;
}

void Tree::mark(const Location& at, bool placed, std::size_t bytes) {
  auto [it, fresh] = dirty_.try_emplace(at, dirty_order_.size());
  if (fresh) dirty_order_.push_back({at, false, 0});
  Dirty& dirty = dirty_order_[it->second];
  dirty.placed |= placed;
  bytes += at.name.size();
  dirty_bytes_ += bytes - dirty.bytes;
  dirty.bytes = bytes;
}

void Tree::mark(Inode& inode, bool placed) {
  if (inode.parent) mark(location(inode), placed, inode.record.bytes());
}

Dentry& Tree::emplace(Inode& dir, const std::string& name) {
  auto [it, fresh] = dir.dir->entries.try_emplace(EntryKey(name));
  CHECK(fresh, "a free name");
  dir.dir->absent.erase(name);
  dir.dir->removed.erase(name);
  bytes_ += entry_bytes(it->first);
  it->second.dir = dir.dir.get();
  it->second.key = &it->first;
  return it->second;
}

Inode& Tree::attach(Inode& dir, const std::string& name, std::unique_ptr<Inode> inode) {
  Dentry& dentry = emplace(dir, name);
  inode->parent = &dentry;
  dentry.inode = std::move(inode);
  ++dir.dir->primaries;
  return *dentry.inode;
}

std::unique_ptr<Inode> Tree::detach(Inode& dir, const std::string& name) {
  auto it = dir.dir->entries.find(EntryKey(name));
  CHECK(it != dir.dir->entries.end());
  std::unique_ptr<Inode> inode = std::move(it->second.inode);
  if (inode) inode->parent = nullptr;
  if (inode) --dir.dir->primaries;
  bytes_ -= entry_bytes(it->first);
  dir.dir->entries.erase(it);
  if (dir.ino() != inos::stray) {
    // The batch it is in is the directory's; and the store shows it until that is applied.
    dir.dir->removed[name] = BatchId{std::numeric_limits<std::uint64_t>::max()};
    if (dir.dir->removed.size() > dir.dir->removed_wanted) forget_removed(*dir.dir);
  }
  return inode;
}

void Tree::propagate(Inode* dir, const RecursiveStats& delta, Time rctime) {
  for (; dir && dir->ino() != inos::super; dir = dir->parent_inode()) {
    dir->record.below += delta;
    dir->record.rctime = std::max(dir->record.rctime, rctime);
    mark(*dir);
  }
}

void Tree::touch_dir(Inode& dir, const ChangeContext& change, int files, int subdirs) {
  InodeRecord& record = dir.record;
  record.files += files;
  record.subdirs += subdirs;
  record.mtime = std::max(record.mtime, change.stamp);
  record.ctime = std::max(record.ctime, change.stamp);
  record.rctime = std::max(record.rctime, change.stamp);
  record.inode_version += 2;
  ++record.change_attribute;
  note_change(dir, change);
  mark(dir);
}

Inode& Tree::add(Inode& dir, const std::string& name, InodeRecord record, const ChangeContext& change) {
  bool is_dir = record.is_dir();
  auto made = std::make_unique<Inode>(std::move(record));
  if (is_dir) {
    made->dir = std::make_unique<Dir>();
    made->dir->inode = made.get();
    made->dir->complete = true;
  }
  made->changed_by = change.client;
  made->changed_in = change.batch;
  Inode& inode = attach(dir, name, std::move(made));
  CHECK(inodes_.emplace(inode.ino(), &inode).second, "inode numbers are used once");
  link_newest(inode);
  count(inode);
  mark(inode, true);
  touch_dir(dir, change, !is_dir, is_dir);
  propagate(&dir, inode.record.contribution(), change.stamp);
  return inode;
}

void Tree::add_remote(Inode& dir, const std::string& name, Inode& target, const ChangeContext& change) {
  Dentry& dentry = emplace(dir, name);
  dentry.remote = target.ino();
  dentry.remote_type = target.record.mode & 0170000;
  mark(Location{dir.ino(), name});
  touch_dir(dir, change, 1, 0);
  RecursiveStats before = target.record.contribution();
  ++target.record.links;
  target.record.ctime = std::max(target.record.ctime, change.stamp);
  target.record.other_names.push_back({dir.ino(), name});
  changed(target, before, change);
}

Inode& Tree::remove(Inode& dir, const std::string& name, const ChangeContext& change) {
  Dentry* dentry = lookup(dir, name);
  CHECK(dentry);
  const Location gone{dir.ino(), name};
  mark(gone);
  if (!dentry->is_primary()) {
    Inode* target = find(dentry->remote);
    CHECK(target, "the inode of a name that is removed is loaded");
    detach(dir, name);
    touch_dir(dir, change, -1, 0);
    RecursiveStats before = target->record.contribution();
    --target->record.links;
    target->record.ctime = std::max(target->record.ctime, change.stamp);
    std::erase(target->record.other_names, gone);
    changed(*target, before, change);
    return *target;
  }
  Inode& inode = *dentry->inode;
  const RecursiveStats weight = inode.record.contribution();
  std::unique_ptr<Inode> owned = detach(dir, name);
  touch_dir(dir, change, inode.is_dir() ? 0 : -1, inode.is_dir() ? -1 : 0);
  propagate(&dir, RecursiveStats{} - weight, change.stamp);
  inode.record.ctime = std::max(inode.record.ctime, change.stamp);
  if (inode.is_dir())
    inode.record.links = 0;
  else
    --inode.record.links;
  if (!inode.record.other_names.empty()) {
    Location next = inode.record.other_names.front();
    inode.record.other_names.erase(inode.record.other_names.begin());
    Inode* next_dir = find(next.dir);
    CHECK(next_dir && next_dir->dir, "the directory of the next primary name is loaded");
    detach(*next_dir, next.name);
    attach(*next_dir, next.name, std::move(owned));
    mark(next, true);
    propagate(next_dir, weight, change.stamp);
  } else {
    Inode* stray = find(inos::stray);
    CHECK(stray && stray->dir);
    CHECK(inode.record.links == 0);
    attach(*stray, fmt::format("{:x}", inode.ino().value), std::move(owned));
    ++stray->record.files;
    propagate(stray, weight, change.stamp);
  }
  changed(inode, inode.record.contribution(), change);
  return inode;
}

void Tree::move(Inode& from, const std::string& name, Inode& to, const std::string& new_name,
                const ChangeContext& change) {
  Dentry* dentry = lookup(from, name);
  CHECK(dentry);
  const Location old_place{from.ino(), name}, new_place{to.ino(), new_name};
  mark(old_place);
  mark(new_place, dentry->is_primary());
  if (!dentry->is_primary()) {
    Inode* target = find(dentry->remote);
    CHECK(target);
    detach(from, name);
    Dentry& moved = emplace(to, new_name);
    moved.remote = target->ino();
    moved.remote_type = target->record.mode & 0170000;
    touch_dir(from, change, -1, 0);
    touch_dir(to, change, 1, 0);
    RecursiveStats before = target->record.contribution();
    std::ranges::replace(target->record.other_names, old_place, new_place);
    target->record.ctime = std::max(target->record.ctime, change.stamp);
    changed(*target, before, change);
    return;
  }
  std::unique_ptr<Inode> owned = detach(from, name);
  const bool is_dir = owned->is_dir();
  const RecursiveStats weight = owned->record.contribution();
  touch_dir(from, change, is_dir ? 0 : -1, is_dir ? -1 : 0);
  propagate(&from, RecursiveStats{} - weight, change.stamp);
  Inode& inode = attach(to, new_name, std::move(owned));
  touch_dir(to, change, is_dir ? 0 : 1, is_dir ? 1 : 0);
  propagate(&to, weight, change.stamp);
  inode.record.ctime = std::max(inode.record.ctime, change.stamp);
  changed(inode, inode.record.contribution(), change);
}

void Tree::drop_stray(Inode& inode) {
  CHECK(inode.is_stray() && inode.caps.empty());
  Inode& stray = *inode.parent_inode();
  const RecursiveStats weight = inode.record.contribution();
  mark(inode);
  bytes_ -= inode.cost;
  unlink(inode);
  if (inode.dir) CHECK(inode.dir->entries.empty());
  inodes_.erase(inode.ino());
  const std::string name = inode.parent->name();
  std::unique_ptr<Inode> gone = detach(stray, name);
  --stray.record.files;
  propagate(&stray, RecursiveStats{} - weight, stray.record.rctime);
}

void Tree::changed(Inode& inode, const RecursiveStats& before, const ChangeContext& change) {
  inode.record.size_seen = std::max(inode.record.size_seen, inode.record.size);
  inode.record.inode_version += 2;
  ++inode.record.change_attribute;
  note_change(inode, change);
  mark(inode);
  count(inode);
  const RecursiveStats delta = inode.record.contribution() - before;
  propagate(inode.parent_inode(), delta, inode.record.ctime);
}

/// While several clients' changes are not durable, nobody may see the inode: each has some of another's.
void Tree::note_change(Inode& inode, const ChangeContext& change) {
  const bool others = inode.changed_in > committed_ && inode.changed_by != change.client;
  inode.changed_by = others ? ClientId{} : change.client;
  inode.changed_in = change.batch;
}

void Tree::changed_quietly(Inode& inode) {
  mark(inode);
}

std::vector<Tree::Dirty> Tree::take_dirty() {
  dirty_.clear();
  dirty_bytes_ = 0;
  return std::exchange(dirty_order_, {});
}

std::optional<DentryRecord> Tree::record_at(const Location& at, BatchId batch) {
  Inode* dir = find(at.dir);
  if (!dir || !dir->dir) return std::nullopt;
  Dentry* dentry = lookup(*dir, at.name);
  if (!dentry) {
    auto gone = dir->dir->removed.find(at.name);
    if (gone != dir->dir->removed.end()) gone->second = batch;
    return std::nullopt;
  }
  DentryRecord record;
  if (dentry->is_primary()) {
    dentry->inode->stored_in = batch;
    record.inode = dentry->inode->record;
  } else {
    record.kind = DentryRecord::Kind::remote;
    record.remote = dentry->remote;
    record.type = dentry->remote_type;
  }
  return record;
}

void Tree::for_each(const std::function<void(Inode&)>& visit) {
  for (auto& [ino, inode] : inodes_) visit(*inode);
}

void Tree::verify() {
  for (auto& [ino, inode] : inodes_) {
    CHECK(inode->ino() == ino);
    CHECK(ino == inos::super || (inode->parent && inode->parent->inode.get() == inode));
    inode->caps.verify();
    if (!inode->is_dir()) CHECK(inode->record.links == inode->record.other_names.size() + !inode->is_stray());
    if (!inode->dir) continue;
    std::uint64_t files = 0, subdirs = 0;
    RecursiveStats below{0, 0, 1};
    for (auto& [key, dentry] : inode->dir->entries) {
      bool is_dir = dentry.is_primary() && dentry.inode->is_dir();
      (is_dir && ino != inos::stray ? subdirs : files) += 1;
      if (dentry.is_primary()) {
        CHECK(find(dentry.inode->ino()) == dentry.inode.get());
        below += dentry.inode->record.contribution();
      } else if (Inode* target = find(dentry.remote)) {
        CHECK(std::ranges::count(target->record.other_names, Location{ino, key.name}) == 1);
      }
    }
    CHECK(std::ranges::count_if(inode->dir->entries, [](auto& e) { return e.second.is_primary(); }) ==
          static_cast<std::ptrdiff_t>(inode->dir->primaries));
    if (ino == inos::super || !inode->dir->complete) continue;
    CHECK(inode->record.files == files && inode->record.subdirs == subdirs, "counts of entries");
    CHECK(inode->record.below == below, "recursive statistics");
  }
}

}  // namespace spirula::mds
