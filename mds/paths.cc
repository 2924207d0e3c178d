#include "mds/paths.h"

#include "mds/operations.h"

namespace spirula::mds {

std::vector<std::string_view> split_path(std::string_view path) {
  std::vector<std::string_view> names;
  while (!path.empty()) {
    std::size_t end = path.find('/');
    if (end != 0) names.push_back(path.substr(0, end));
    if (end == std::string_view::npos) break;
    path.remove_prefix(end + 1);
  }
  return names;
}

Result<> check_name(std::string_view name) {
  if (name.size() > limits::name_bytes_max) return Errc::name_too_long;
  if (name.empty() || name == "." || name == ".." || name.find('\0') != name.npos) return Errc::invalid;
  return {};
}

Result<Dentry*> find_entry(Tree& tree, Inode& dir, const std::string& name, Attempt& attempt) {
  if (dir.dir) {
    if (Dentry* dentry = tree.lookup(dir, name)) return dentry;
    if (dir.dir->knows(EntryKey(name))) return nullptr;
  }
  return attempt.must_load(dir, name);
}

namespace {

/// Down the first `depth` names.
Result<Inode*> walk(Tree& tree, std::uint64_t from, const std::vector<std::string_view>& names, std::size_t depth,
                    Attempt& attempt) {
  Ino start = from == 0 ? inos::root : Ino{from};
  if (start == inos::super || start == inos::stray) return Errc::stale;
  Inode* at = tree.find(start);
  if (!at) return attempt.must_find(start);
  if (at->purging) return Errc::stale;
  tree.touch(*at);
  TRY(attempt.visible(*at));
  for (std::size_t i = 0; i < depth; ++i) {
    if (!at->is_dir()) return Errc::not_directory;
    if (names[i].size() > limits::name_bytes_max) return Errc::name_too_long;
    TRY(Dentry * dentry, find_entry(tree, *at, std::string(names[i]), attempt));
    if (!dentry) return Errc::not_found;
    Inode* next = dentry->is_primary() ? dentry->inode.get() : tree.find(dentry->remote);
    if (!next) return attempt.must_find(dentry->remote);
    at = next;
    tree.touch(*at);
    TRY(attempt.visible(*at));
  }
  return at;
}

}  // namespace

Result<Inode*> resolve(Tree& tree, const msg::FilePath& path, Attempt& attempt) {
  std::vector<std::string_view> names = split_path(path.path);
  if (names.size() > limits::path_depth_max) return Errc::name_too_long;
  TRY(Inode * inode, walk(tree, path.ino, names, names.size(), attempt));
  TRY(attempt.permitted(*inode));
  return inode;
}

Result<Place> resolve_place(Tree& tree, const msg::FilePath& path, Attempt& attempt) {
  std::vector<std::string_view> names = split_path(path.path);
  if (names.empty()) return Errc::invalid;
  if (names.size() > limits::path_depth_max) return Errc::name_too_long;
  Place place;
  TRY(place.dir, walk(tree, path.ino, names, names.size() - 1, attempt));
  if (!place.dir->is_dir()) return Errc::not_directory;
  place.name = std::string(names.back());
  if (place.name.size() > limits::name_bytes_max) return Errc::name_too_long;
  TRY(place.dentry, find_entry(tree, *place.dir, place.name, attempt));
  if (place.dentry) {
    place.inode = place.dentry->is_primary() ? place.dentry->inode.get() : tree.find(place.dentry->remote);
    if (!place.inode) return attempt.must_find(place.dentry->remote);
    tree.touch(*place.inode);
    TRY(attempt.visible(*place.inode));
  }
  TRY(attempt.permitted(attempt.writes || !place.inode ? *place.dir : *place.inode));
  return place;
}

}  // namespace spirula::mds
