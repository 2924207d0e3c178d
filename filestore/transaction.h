#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/buffer.h"
#include "filestore/object_id.h"

namespace spirula::filestore {

/// What a transaction may claim of the space that is left when the disk is full.
enum class Space : std::uint8_t {
  ordinary,  ///< refused with Errc::no_space once the store is full
  reserve,   ///< FULL_FORCE, FULL_TRY, deletes: may use the last reserve
};

/// Space promised ahead (ObjectStore::reserve): transactions that carry it are not refused for what it covers, and use
/// it up. What is left goes back when it is destroyed.
class SpaceReservation {
 public:
  class Impl;
  explicit SpaceReservation(std::unique_ptr<Impl> impl);
  ~SpaceReservation();
  /// Of a store that never fills.
  static std::shared_ptr<SpaceReservation> unlimited();
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// Where a write's payload stands in staging/, and, unless btrfs keeps them, its checksums by block; made by the store,
/// never by its callers.
struct StagedExtent {
  std::uint64_t generation = 0;
  std::uint32_t ring = 0;
  std::uint64_t offset = 0, length = 0;
  std::vector<std::uint32_t> checksums;
  static void fields(auto& self, auto& wire) {
    wire(self.generation);
    wire(self.ring);
    wire(self.offset);
    wire(self.length);
    wire(self.checksums);
  }
};

/// Operations that become durable and visible together, or not at all. Built by one owner, then given away.
/// Touch, Write, Zero, Truncate, SetAttributes, OmapSet and OmapSetHeader make an object that is not there; removing
/// what is not there (an object, an attribute, a key) changes nothing; only a missing source is an error. Every object
/// must lie in the transaction's collection. Objects of a negative pool lie in a collection of that pool.
class Transaction {
 public:
  struct Touch {};
  struct Write {
    std::uint64_t offset = 0;
    BufferList data;
    std::shared_ptr<const StagedExtent> staged = nullptr;  ///< the store's own: the payload is on disk already
    std::uint64_t length() const { return staged ? staged->length : data.size(); }
  };
  struct Zero {
    std::uint64_t offset, length;
  };
  struct Truncate {
    std::uint64_t size;
  };
  struct Remove {};
  struct SetAttributes {
    std::map<std::string, Buffer> values;
  };
  struct RemoveAttribute {
    std::string name;
  };
  struct RemoveAllAttributes {};
  /// The object becomes a copy of `source`: data, attributes and omap.
  struct Clone {
    ObjectId source;
  };
  /// Whole blocks are shared where both offsets are the same modulo limits::block_bytes; elsewhere it is a copy.
  struct CloneRange {
    ObjectId source;
    std::uint64_t source_offset, length, offset;
  };
  struct OmapSet {
    std::map<std::string, Buffer> values;
  };
  struct OmapRemove {
    std::set<std::string> keys;
  };
  /// Keys in [first, last).
  struct OmapRemoveRange {
    std::string first, last;
  };
  struct OmapClear {};  ///< all keys and the header
  struct OmapSetHeader {
    Buffer value;
  };
  /// The whole object moves to another name (same collection), replacing what is there.
  struct Rename {
    ObjectId source;
  };
  using ObjectOperation =
      std::variant<Touch, Write, Zero, Truncate, Remove, SetAttributes, RemoveAttribute, RemoveAllAttributes, Clone,
                   CloneRange, OmapSet, OmapRemove, OmapRemoveRange, OmapClear, OmapSetHeader, Rename>;

  struct CreateCollection {
    unsigned bits;
  };
  /// Only an empty one: Errc::not_empty.
  struct RemoveCollection {};
  /// Objects whose hash agrees with `child.seed` in `bits` bits belong to `child` from now on; both have `bits`.
  struct SplitCollection {
    unsigned bits;
    CollectionId child;
  };
  struct MergeCollection {
    unsigned bits;
    CollectionId from;
  };
  /// Metadata of the collection itself, ordered keys (the PG's log and info live here).
  struct CollectionSet {
    std::map<std::string, Buffer> values;
  };
  struct CollectionRemove {
    std::set<std::string> keys;
  };
  struct CollectionRemoveRange {
    std::string first, last;
  };
  using CollectionOperation = std::variant<CreateCollection, RemoveCollection, SplitCollection, MergeCollection,
                                           CollectionSet, CollectionRemove, CollectionRemoveRange>;

  struct OnObject {
    ObjectId object;
    ObjectOperation operation;
  };
  using Operation = std::variant<OnObject, CollectionOperation>;

  Space space = Space::ordinary;
  std::shared_ptr<SpaceReservation> reservation;  ///< redeemed by submit(); not recorded

  Transaction& touch(ObjectId o) { return add(std::move(o), Touch{}); }
  Transaction& write(ObjectId o, std::uint64_t offset, BufferList data) {
    return add(std::move(o), Write{offset, std::move(data)});
  }
  Transaction& zero(ObjectId o, std::uint64_t offset, std::uint64_t length) {
    return add(std::move(o), Zero{offset, length});
  }
  Transaction& truncate(ObjectId o, std::uint64_t size) { return add(std::move(o), Truncate{size}); }
  Transaction& remove(ObjectId o) { return add(std::move(o), Remove{}); }
  Transaction& set_attribute(ObjectId o, std::string name, Buffer value) {
    return add(std::move(o), SetAttributes{{{std::move(name), std::move(value)}}});
  }
  Transaction& set_attributes(ObjectId o, std::map<std::string, Buffer> values) {
    return add(std::move(o), SetAttributes{std::move(values)});
  }
  Transaction& remove_attribute(ObjectId o, std::string name) {
    return add(std::move(o), RemoveAttribute{std::move(name)});
  }
  Transaction& omap_set(ObjectId o, std::map<std::string, Buffer> values) {
    return add(std::move(o), OmapSet{std::move(values)});
  }
  Transaction& omap_remove(ObjectId o, std::set<std::string> keys) {
    return add(std::move(o), OmapRemove{std::move(keys)});
  }
  Transaction& omap_clear(ObjectId o) { return add(std::move(o), OmapClear{}); }
  Transaction& omap_set_header(ObjectId o, Buffer value) { return add(std::move(o), OmapSetHeader{std::move(value)}); }
  Transaction& clone(ObjectId from, ObjectId to) { return add(std::move(to), Clone{std::move(from)}); }
  Transaction& create_collection(unsigned bits) { return add(CreateCollection{bits}); }
  Transaction& remove_collection() { return add(RemoveCollection{}); }
  Transaction& collection_set(std::map<std::string, Buffer> values) { return add(CollectionSet{std::move(values)}); }
  Transaction& collection_remove(std::set<std::string> keys) { return add(CollectionRemove{std::move(keys)}); }
  Transaction& add(ObjectId object, ObjectOperation operation) {
    operations_.emplace_back(OnObject{std::move(object), std::move(operation)});
    return *this;
  }
  Transaction& add(CollectionOperation operation) {
    operations_.emplace_back(std::move(operation));
    return *this;
  }

  const std::vector<Operation>& operations() const { return operations_; }
  bool empty() const { return operations_.empty(); }
  std::size_t payload_bytes() const;  ///< of its Writes

 private:
  std::vector<Operation> operations_;
};

}  // namespace spirula::filestore
