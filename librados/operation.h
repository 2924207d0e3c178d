#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/result.h"
#include "msg/osd_messages.h"
#include "msg/osd_op.h"
#include "msg/types.h"

namespace spirula::librados {

using msg::Epoch;
using msg::SnapId;

/// Which object. `key`, if not empty, is hashed instead of the name.
struct ObjectRef {
  std::int64_t pool = -1;
  std::string name;
  std::string name_space;
  std::string key;
  msg::ObjectLocator locator() const { return {pool, key, name_space, -1}; }
  std::string describe() const;
};

using OmapValues = std::map<std::string, Buffer>;

/// What is to be done to one object, as one step: everything or nothing. Build it, then Objecter::submit() or
/// execute(). Each call adds one operation; its number, from 0, is what the accessors of OperationResult take.
///   Operation op;
///   op.create(true).set_xattr("layout", bytes).omap_set({{"key", value}});
class Operation {
 public:
  Operation& read(std::uint64_t offset, std::uint64_t length);
  Operation& sparse_read(std::uint64_t offset, std::uint64_t length);
  Operation& stat();
  Operation& write(std::uint64_t offset, BufferList data);
  Operation& write_full(BufferList data);
  Operation& append(BufferList data);
  Operation& zero(std::uint64_t offset, std::uint64_t length);
  Operation& truncate(std::uint64_t size);
  Operation& create(bool exclusive);
  Operation& remove();
  Operation& get_xattr(std::string_view name);
  Operation& get_xattrs();
  Operation& set_xattr(std::string_view name, const Buffer& value);
  Operation& remove_xattr(std::string_view name);
  /// Fails with Errc::cancelled (ECANCELED) unless (value) OP (stored value) holds.
  Operation& compare_xattr(std::string_view name, msg::Comparison comparison, const Buffer& value);
  Operation& omap_get_header();
  /// Keys after `after` (and with this prefix), at most `count_max`.
  Operation& omap_get(std::string_view after, std::uint64_t count_max, std::string_view prefix = {});
  Operation& omap_get_keys(std::string_view after, std::uint64_t count_max);
  Operation& omap_get_by_keys(const std::set<std::string>& keys);
  Operation& omap_set(const OmapValues& values);
  Operation& omap_set_header(const Buffer& header);
  Operation& omap_remove(const std::set<std::string>& keys);
  /// Keys in [first, last).
  Operation& omap_remove_range(std::string_view first, std::string_view last);
  Operation& omap_clear();
  /// A method of an object class. `writes`: it may change the object.
  Operation& call(std::string_view class_name, std::string_view method, const Buffer& input, bool writes);
  /// Fails with Errc::overflow (the object is newer) or ERANGE (it is older).
  Operation& assert_version(std::uint64_t version);
  Operation& rollback(SnapId snap);
  Operation& set_alloc_hint(std::uint64_t object_size, std::uint64_t write_size, std::uint32_t flags);
  Operation& list_watchers();
  Operation& list_snaps();
  /// For whatever has no call of its own.
  Operation& add(msg::OsdOp op);

  /// msg::op_flag bits of the operation added last.
  Operation& with_op_flags(std::uint32_t flags);

  std::vector<msg::OsdOp> ops;
  std::uint32_t flags = 0;         ///< msg::request_flag bits beyond read, write and ondisk, e.g. full_force
  msg::SnapContext snap_context;   ///< for writes; empty: the pool's own snapshots
  SnapId snap = msg::snap_head;    ///< for reads
  std::optional<msg::Time> mtime;  ///< now, if left out
  Duration timeout{};              ///< 0: the objecter's

  bool writes() const;
  std::uint64_t bytes() const;
};

/// What came of an operation.
struct OperationResult {
  std::int32_t result = 0;  ///< negative errno, 0, or a positive value of the last operation
  msg::Version version;     ///< of the object
  std::uint64_t user_version = 0;
  Epoch epoch;  ///< of the OSD's map
  std::vector<msg::OsdOp> ops;

  /// The outcome of the whole, or of operation `index`, as an error.
  Result<> outcome() const;
  Result<> outcome(std::size_t index) const;
  /// The output of operation `index`; an error if it failed. Errc::malformed if it is not of that kind.
  Result<BufferList> data(std::size_t index) const;
  Result<msg::StatOutput> stat(std::size_t index) const;
  Result<OmapValues> xattrs(std::size_t index) const;
  struct Omap {
    OmapValues values;
    bool more = false;  ///< go on after the last key
  };
  Result<Omap> omap(std::size_t index) const;
  Result<OmapValues> omap_by_keys(std::size_t index) const;
  struct OmapKeys {
    std::set<std::string> keys;
    bool more = false;
  };
  Result<OmapKeys> omap_keys(std::size_t index) const;
  /// Of sparse_read: extents by offset, and their bytes one after the other.
  struct Sparse {
    std::map<std::uint64_t, std::uint64_t> extents;
    Buffer data;
  };
  Result<Sparse> sparse(std::size_t index) const;
};

}  // namespace spirula::librados
