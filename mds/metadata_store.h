#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/buffer.h"
#include "base/result.h"
#include "base/task.h"
#include "mds/types.h"

/// The seam between the MDS and RADOS: the few object operations it needs, on its metadata pool and on data pools. The
/// real one is over the objecter (rados_store.h), the other in memory (memory_store.h), for tests and simulation.
namespace spirula::mds {

/// Errors, of every operation: Errc::not_found; Errc::blocklisted (we have been replaced: stop at once);
/// Errc::no_space; Errc::cancelled. Everything else has been retried until it worked.
class MetadataStore {
 public:
  virtual ~MetadataStore() = default;

  // The metadata pool. Each call is atomic and durable when it returns.
  virtual Task<Result<Buffer>> read(std::string object) = 0;  ///< all of it
  virtual Task<Result<>> write_full(std::string object, Buffer bytes) = 0;
  virtual Task<Result<>> write(std::string object, std::uint64_t offset, Buffer bytes) = 0;
  virtual Task<Result<>> remove(std::string object) = 0;  ///< fine if it is not there
  struct Names {
    std::map<std::string, Buffer> values;
    bool more = false;
  };
  /// Up to `count_max` pairs after the key `after`.
  virtual Task<Result<Names>> names(std::string object, std::string after, std::uint64_t count_max) = 0;
  /// One of them.
  virtual Task<Result<Buffer>> name(std::string object, std::string key) = 0;
  struct NamesUpdate {
    std::map<std::string, Buffer> set;
    std::set<std::string> remove;
    std::optional<Buffer> parent;  ///< the attribute "parent", if it is to be set
    bool empty() const { return set.empty() && remove.empty() && !parent; }
  };
  /// Makes the object if need be.
  virtual Task<Result<>> update_names(std::string object, NamesUpdate update) = 0;

  // The attribute "parent": of a metadata object, or (pool >= 0) of an object of a data pool, which it makes.
  virtual Task<Result<Buffer>> parent(std::int64_t pool, std::string object) = 0;
  virtual Task<Result<>> set_parent(std::int64_t pool, std::string object, Buffer value) = 0;

  // A file's data. `size` bounds the objects; sparse ones are fine.
  virtual Task<Result<>> purge(Ino ino, msg::FileLayout layout, std::uint64_t size) = 0;
  /// Cuts what lies in [to, from), as of truncate_sequence.
  virtual Task<Result<>> truncate(Ino ino, msg::FileLayout layout, std::uint64_t from, std::uint64_t to,
                                  std::uint32_t truncate_sequence) = 0;
  /// Where the data that lies in [from, to) ends, and when the objects from there on were last written.
  struct Probed {
    std::uint64_t end = 0;  ///< 0: nothing is there
    msg::Time mtime;
  };
  virtual Task<Result<Probed>> probe(Ino ino, msg::FileLayout layout, std::uint64_t from, std::uint64_t to) = 0;

  // Names of objects, as Ceph has them.
  static std::string directory_object(Ino ino);  ///< "10000000000.00000000": inode and fragment
  static std::string data_object(Ino ino, std::uint64_t number);
};

}  // namespace spirula::mds
