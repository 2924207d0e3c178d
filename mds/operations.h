#pragma once
#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mds/tree.h"
#include "msg/caps_mds.h"

/// What each request does to the tree, as plain functions: they answer, apply the whole request in one step, or say
/// what stands in the way. Whoever called removes the obstacle and calls again from the start, so nothing is ever half
/// done and nothing is remembered between attempts.
namespace spirula::mds {

/// The number of a pool, if there is one of that name.
using PoolByName = std::function<std::optional<std::int64_t>(std::string_view)>;

/// One try at one request.
struct Attempt {
  // Who asks, and in which batch a change would go.
  ClientId client;
  BatchId batch, committed;
  Time now;      ///< for what has no stamp of the client's
  Ino next_ino;  ///< a number for what is made; taken if Outcome::made says so
  msg::FileLayout default_layout;
  const std::vector<std::int64_t>* data_pools = nullptr;  ///< that a layout may name; null: any
  const PoolByName* pool_by_name = nullptr;
  const msg::MdsCaps* access = nullptr;  ///< what the client may do; null: everything
  msg::MdsCaps::Caller caller;
  std::string file_system;
  bool writes = false;
  bool completed = false;  ///< done before (the reply was lost): only look at what it did

  enum class Obstacle {
    none,
    load,     ///< the name `name` of the directory `ino` must be loaded, or it is known to be missing
    list,     ///< names of the directory `ino` after `after`
    find,     ///< the inode `ino` must be found by its number; if it cannot: Errc::stale
    claims,   ///< others hold caps that contradict `claims`
    recover,  ///< the size of `ino` must be found out
    cut,      ///< the objects of `ino` must be cut to the truncation before
    room,     ///< so much waits for the journal that changes wait as well
    commit,   ///< `wait_for` must be durable: somebody else's change would be seen
  };
  Obstacle obstacle = Obstacle::none;
  Ino ino;
  std::string name;
  EntryKey after;
  BatchId wait_for;
  std::vector<std::pair<Ino, Claim>> claims;  ///< all that the request needs, those in the way included

  bool is_data_pool(std::int64_t pool) const {
    return !data_pools || std::ranges::find(*data_pools, pool) != data_pools->end();
  }
  ChangeContext change(Time stamp) const { return {client, batch, stamp == Time{} ? now : stamp}; }

  // For the operations: each returns Errc::again with the obstacle noted.
  std::error_code must_load(const Inode& dir, std::string name);
  std::error_code must_list(const Inode& dir, EntryKey after);
  std::error_code must_cut(const Inode& inode);
  std::error_code must_find(Ino inode);
  std::error_code must_commit(BatchId batch_needed);
  /// Notes a claim; claims_met() then says whether all of them are.
  void claim(const Inode& inode, cap::Group group, Claim::Mode mode);
  Result<> claims_met(Tree& tree);
  /// The inode (and the names in it, of a directory) may be shown to this client.
  Result<> visible(const Inode& inode);
  /// The client's key allows this request here (and more). Errc::access.
  Result<> permitted(const Inode& inode, unsigned also = 0) const;
};

/// What came of it. Pointers are good until the tree changes.
struct Outcome {
  Inode* dir = nullptr;  ///< with `name`: the dentry of the reply
  std::string name;
  Inode* target = nullptr;
  bool changed = false;     ///< there is something to journal
  bool made_inode = false;  ///< the request made `target`, numbered Attempt::next_ino
  bool opened = false;
  cap::Bits wanted = 0;  ///< by an open
  bool truncated = false;
  Inode* unlinked = nullptr;    ///< lost a name: a stray to be purged once nobody has it open
  std::vector<Inode*> touched;  ///< others whose caps deserve a look
};

/// Everything but readdir and file locks. On an error the dentry may be set: a name known to be missing.
Result<> operate(Tree& tree, const msg::ClientRequest& request, Attempt& attempt, Outcome& outcome);

/// A part of a directory, as the client's cursor asks for it.
struct Listing {
  Inode* dir = nullptr;
  std::vector<std::pair<const Dentry*, Inode*>> entries;
  bool from_start = false, to_end = false;
};
Result<> list(Tree& tree, const msg::ClientRequest& request, Attempt& attempt, Listing& listing);

// Shared by them.

/// A directory's entry; null: there is none of this name.
Result<Dentry*> find_entry(Tree& tree, Inode& dir, const std::string& name, Attempt& attempt);
/// The inode a path names. Errc of path resolution.
Result<Inode*> resolve(Tree& tree, const msg::FilePath& path, Attempt& attempt);
struct Place {
  Inode* dir = nullptr;  ///< loaded
  std::string name;
  Dentry* dentry = nullptr;  ///< if there is one
  Inode* inode = nullptr;    ///< what it stands for
};
/// The directory and last name of a path.
Result<Place> resolve_place(Tree& tree, const msg::FilePath& path, Attempt& attempt);

Result<> set_attributes(Tree& tree, const msg::ClientRequest& request, Attempt& attempt, Outcome& outcome);
Result<> set_xattr(Tree& tree, const msg::ClientRequest& request, Attempt& attempt, Outcome& outcome);
Result<> set_layout(Tree& tree, const msg::ClientRequest& request, Attempt& attempt, Outcome& outcome);
/// Cuts or extends a file; the caller journals and has the claims.
void resize(InodeRecord& record, std::uint64_t size, Time stamp);
/// How far clients may write before they must ask again.
std::uint64_t writable_size_for(const InodeRecord& record);

}  // namespace spirula::mds
