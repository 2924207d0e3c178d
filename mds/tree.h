#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/result.h"
#include "mds/caps.h"
#include "mds/file_locks.h"
#include "mds/records.h"

/// The file system in memory: inodes, names and loaded directories. No I/O, no messages, one shard.
namespace spirula::mds {

struct Inode;
struct Dir;

/// Directory entries are ordered by the hash clients compute too, then by name: their cursors are hash positions.
struct EntryKey {
  std::uint32_t hash = 0;  ///< the low 24 bits of the name's rjenkins hash
  std::string name;
  explicit EntryKey(std::string name);
  EntryKey(std::uint32_t hash, std::string name) : hash(hash), name(std::move(name)) {}
  friend auto operator<=>(const EntryKey&, const EntryKey&) = default;
};

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

/// A directory whose names are all in memory (one fragment, the whole).
struct Dir {
  Inode* inode = nullptr;
  std::map<EntryKey, Dentry> entries;
};

struct Inode {
  explicit Inode(InodeRecord r) : record(std::move(r)), caps(record.is_dir()) {}
  InodeRecord record;
  Dentry* parent = nullptr;  ///< the primary name; null for the super inode alone
  std::unique_ptr<Dir> dir;  ///< of a directory that is loaded
  InodeCaps caps;
  std::unique_ptr<FileLocks> locks;
  /// Who changed it (or the names in it) last, and the batch that makes that durable: until then nobody else sees it.
  ClientId changed_by;
  BatchId changed_in;
  bool purging = false;  ///< its data is being removed: it is gone for everybody
  bool cutting = false;  ///< objects beyond its size are being cut
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

/// Owns all inodes. Every mutation keeps: a directory's record counts its entries; its recursive statistics are the sum
/// of what is below; an inode's `links` is the number of its names (a directory's is 1, and 0 once removed); and every
/// record that changed is in dirty() until taken.
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

  /// Fills a directory from its stored names. Errc::malformed: an inode that is in memory already, in another place.
  Result<> load(Inode& dir, std::map<std::string, DentryRecord> records);
  /// Forgets the names of a directory; none of what is below may be in use. Only for what is in no batch to come.
  void unload(Inode& dir);

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
  /// What a location stands for now; nullopt: nothing.
  std::optional<DentryRecord> record_at(const Location& at);

  /// CHECKs the invariants of everything in memory (tests, simulation).
  void verify();

 private:
  struct LocationHash {
    std::size_t operator()(const Location& at) const;
  };
  void mark(const Location& at, bool placed = false, std::size_t bytes = 100);
  void mark(Inode& inode, bool placed = false);
  void touch_dir(Inode& dir, const ChangeContext& change, int files, int subdirs);
  void propagate(Inode* dir, const RecursiveStats& delta, Time rctime);
  Dentry& emplace(Inode& dir, const std::string& name);
  std::unique_ptr<Inode> detach(Inode& dir, const std::string& name);
  Inode& attach(Inode& dir, const std::string& name, std::unique_ptr<Inode> inode);

  std::unordered_map<Ino, Inode*> inodes_;
  std::unordered_map<Location, std::size_t, LocationHash> dirty_;  ///< index into dirty_order_
  std::vector<Dirty> dirty_order_;
  std::size_t dirty_bytes_ = 0;
  std::unique_ptr<Inode> super_;
};

}  // namespace spirula::mds
