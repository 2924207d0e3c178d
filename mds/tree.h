#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "mds/caps.h"
#include "mds/entry_key.h"
#include "mds/file_locks.h"
#include "mds/records.h"
#include "mds/slab.h"

/// The file system in memory: inodes, names and loaded directories. No I/O, no messages, one shard.
namespace spirula::mds {

struct Inode;
struct Dir;

/// A name. Either the primary one, which owns its inode, or one more of an inode that is stored elsewhere.
struct Dentry {
  Dir* dir = nullptr;
  const EntryKey* key = nullptr;
  std::unique_ptr<Inode> inode;  ///< of a primary name
  Ino remote;                    ///< of another
  std::uint32_t remote_type = 0;

  bool is_primary() const { return inode != nullptr; }
  const std::string& name() const { return key->name; }
};

/// The names of a directory that are in memory (one fragment, the whole). A name that is here is as here; whether one
/// that is not here exists, knows() says or the stored directory.
struct Dir {
  Inode* inode = nullptr;
  using Entries = std::map<EntryKey, Dentry, std::less<EntryKey>, SlabAllocator<std::pair<const EntryKey, Dentry>>>;
  Entries entries;
  std::size_t primaries = 0;  ///< of the entries
  bool complete = false;      ///< all names are here
  /// All names after `after` are here, up to and with `last`, or to the end.
  struct Range {
    EntryKey after;
    std::optional<EntryKey> last;
  };
  std::unique_ptr<Range> range;  ///< the one last listed
  std::set<std::string> absent;  ///< looked for and not there
  /// Gone in a batch that may not be durable: what is stored may show them still.
  std::map<std::string, BatchId> removed;
  static constexpr std::size_t removed_wanted_min = 16;
  std::size_t removed_wanted = removed_wanted_min;  ///< size at which those that are durable are looked for
  std::size_t loads = 0;                            ///< under way: nothing is dropped from here meanwhile

  bool knows(const EntryKey& key) const;
  /// knows() all keys after this one, up to somewhere.
  bool knows_after(const EntryKey& after) const;
};

struct Inode {
  explicit Inode(InodeRecord r) : record(std::move(r)), caps(record.is_dir()) {}
  static void* operator new(std::size_t) { return SlabOf<sizeof(Inode)>::take(); }
  static void operator delete(void* inode) { SlabOf<sizeof(Inode)>::give(inode); }
  InodeRecord record;
  Dentry* parent = nullptr;  ///< the primary name; null for the super inode alone
  std::unique_ptr<Dir> dir;  ///< of a directory of which anything is loaded
  InodeCaps caps;
  std::unique_ptr<FileLocks> locks;
  /// Who changed it (or the names in it) last, nobody if several did, and the batch that makes that durable: until then
  /// nobody else sees it.
  ClientId changed_by;
  BatchId changed_in;
  BatchId stored_in;                         ///< the newest batch that has its record
  std::uint32_t cost = 0;                    ///< bytes it was last counted with
  Inode *newer = nullptr, *older = nullptr;  ///< the tree's: neighbours by when they were last used
  bool purging = false;                      ///< its data is being removed: it is gone for everybody
  bool cutting = false;                      ///< objects beyond its size are being cut
  /// Its writer went without a word: how long it is the objects say, and until then nobody sees it.
  bool recovering = false;

  Ino ino() const { return record.ino; }
  bool is_dir() const { return record.is_dir(); }
  Inode* parent_inode() const { return parent ? parent->dir->inode : nullptr; }
  bool is_stray() const { return parent && parent->dir->inode->ino() == inos::stray; }
};

/// What a change belongs to.
struct ChangeContext {
  ClientId client;
  BatchId batch;
  Time stamp;
};

/// Owns all inodes that are in memory. Whoever is, so are the directories above it. Every mutation keeps: a directory's
/// record counts its entries; its recursive statistics are the sum of what is below; an inode's `links` is the number
/// of its names (a directory's is 1, and 0 once removed); and every record that changed is in dirty() until taken.
class Tree {
 public:
  Tree();
  ~Tree();
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  /// A new file system: the root (mode 0755, owned by root) and the place for strays, as changes to journal.
  void format(Time now);

  Inode& super() { return *super_; }
  Inode* find(Ino ino);
  Inode* root() { return find(inos::root); }
  /// Errc::not_found; the directory must be loaded.
  Dentry* lookup(Inode& dir, const std::string& name);
  /// Where the primary name is; also the inode's own path for logs.
  static Location location(const Inode& inode);
  static std::string path_of(const Inode& inode);
  /// `above` is `inode` or one of the directories it is in.
  static bool is_below(const Inode& inode, const Inode& above);
  std::size_t inode_count() const { return inodes_.size(); }
  /// Of every inode in memory; `visit` must not change which there are.
  void for_each(const std::function<void(Inode&)>& visit);

  // What is in memory and what is not (tree_cache.cc).
  /// Before stored names of it are read; end_load() when they are here or will not come.
  void begin_load(Inode& dir);
  void end_load(Inode& dir);
  /// Takes in stored names: all there are after `after`, up to `last` (or to the end). What memory knows better stays.
  /// Errc::malformed: an inode that is in memory already, in another place. Returns the inodes that are new here.
  Result<std::vector<Inode*>> fill(Inode& dir, std::map<EntryKey, DentryRecord> records, const EntryKey& after,
                                   const std::optional<EntryKey>& last);
  /// The same for one name; nullopt: it is not stored.
  Result<std::vector<Inode*>> fill_one(Inode& dir, const EntryKey& key, std::optional<DentryRecord> record);
  /// It was used just now.
  void touch(Inode& inode);
  /// Its record or its caps have grown or shrunk.
  void count(Inode& inode);
  std::size_t bytes() const { return bytes_; }
  /// What is durable so far.
  void set_committed(BatchId committed) { committed_ = committed; }
  /// Drops what was not used for longest and nobody needs, until at most `bytes_wanted` are left; looks at no more than
  /// `looks_max` inodes. Returns how many it dropped.
  std::size_t trim(std::size_t bytes_wanted, std::size_t looks_max);

  // Mutations. The directories must be loaded and the names free or taken as each says; callers have checked.
  Inode& add(Inode& dir, const std::string& name, InodeRecord record, const ChangeContext& change);
  void add_remote(Inode& dir, const std::string& name, Inode& target, const ChangeContext& change);
  /// Removes a name. The inode loses a link; when it was the primary name, another becomes primary (its directory must
  /// be loaded) or the inode becomes a stray. Returns the inode.
  Inode& remove(Inode& dir, const std::string& name, const ChangeContext& change);
  /// Moves a name (of either kind); the new name must be free.
  void move(Inode& from, const std::string& name, Inode& to, const std::string& new_name, const ChangeContext& change);
  /// A stray that is purged.
  void drop_stray(Inode& inode);
  /// After changing `inode.record`: `before` is what contribution() was.
  void changed(Inode& inode, const RecursiveStats& before, const ChangeContext& change);
  /// Its backtrace has to be written anew.
  void replace_backtrace(Inode& inode) { mark(inode, true); }
  /// For records that no client sees changed (a purge's progress, the writable size).
  void changed_quietly(Inode& inode);

  /// The names whose records changed since the last call, each once, in order of first change; `placed` if the name got
  /// its inode since.
  struct Dirty {
    Location at;
    bool placed = false;
    std::size_t bytes = 0;
  };
  std::vector<Dirty> take_dirty();
  bool has_dirty() const { return !dirty_.empty(); }
  /// About how large the batch with them would be.
  std::size_t dirty_bytes() const { return dirty_bytes_; }
  /// What a location stands for now, to be stored with this batch; nullopt: nothing.
  std::optional<DentryRecord> record_at(const Location& at, BatchId batch);

  /// CHECKs the invariants of everything in memory (tests, simulation).
  void verify();

 private:
  struct LocationHash {
    std::size_t operator()(const Location& at) const;
  };
  void note_change(Inode& inode, const ChangeContext& change);
  void mark(const Location& at, bool placed = false, std::size_t bytes = 100);
  void mark(Inode& inode, bool placed = false);
  void touch_dir(Inode& dir, const ChangeContext& change, int files, int subdirs);
  void propagate(Inode* dir, const RecursiveStats& delta, Time rctime);
  Dentry& emplace(Inode& dir, const std::string& name);
  std::unique_ptr<Inode> detach(Inode& dir, const std::string& name);
  Inode& attach(Inode& dir, const std::string& name, std::unique_ptr<Inode> inode);
  Inode* take_in(Inode& dir, const EntryKey& key, DentryRecord record);
  bool is_elsewhere(const Dir& dir, const EntryKey& key, const DentryRecord& record);
  void forget_removed(Dir& dir);
  void link_newest(Inode& inode);
  void unlink(Inode& inode);
  static std::size_t entry_bytes(const EntryKey& key);
  bool is_droppable(const Inode& inode) const;
  void drop(Inode& inode);

  std::unordered_map<Ino, Inode*, std::hash<Ino>, std::equal_to<Ino>, SlabAllocator<std::pair<const Ino, Inode*>>>
      inodes_;
  std::unordered_map<Location, std::size_t, LocationHash> dirty_;  ///< index into dirty_order_
  std::vector<Dirty> dirty_order_;
  std::size_t dirty_bytes_ = 0;
  Inode *newest_ = nullptr, *oldest_ = nullptr;  ///< by when they were last used
  std::size_t bytes_ = 0;
  BatchId committed_;
  std::unique_ptr<Inode> super_;
};

}  // namespace spirula::mds
