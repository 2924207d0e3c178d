#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/task.h"
#include "filestore/object_store.h"

/// For tests: random work, and the comparison of two stores.
namespace spirula::filestore::testing {

/// Makes transactions of every kind over a few dozen objects, so that they meet each other. Deterministic from its
/// seed: the same sequence of calls gives the same transactions.
class RandomWork {
 public:
  explicit RandomWork(std::uint64_t seed, std::uint64_t object_bytes_max = 1 << 20)
      : random_(seed), object_bytes_max_(object_bytes_max) {}

  struct Submit {
    CollectionId collection;
    Transaction transaction;
  };
  /// The collections to begin with.
  std::vector<Submit> prepare();
  /// Mostly valid; now and then one that must be refused.
  Submit next();
  ObjectId some_object(const CollectionId& collection);
  CollectionId some_collection();
  /// From now on.
  void make_objects_of(std::uint64_t bytes_max) { object_bytes_max_ = bytes_max; }
  Random& random() { return random_; }

 private:
  BufferList data(std::uint64_t length);
  std::uint64_t some_offset();
  std::uint64_t some_length();
  std::string some_key();
  Transaction::ObjectOperation some_operation(const CollectionId& collection);

  SeededRandom random_;
  std::uint64_t object_bytes_max_;
  std::uint64_t count_ = 0;
  bool split_ = false;
};

/// What differs between two stores, or nothing. One object:
Task<std::string> difference(ObjectStore& store, ObjectStore& model, ObjectId object);
/// One collection's metadata and listing, read in pages; with every object if `deep`.
Task<std::string> difference(ObjectStore& store, ObjectStore& model, CollectionId collection, bool deep);
/// Everything.
Task<std::string> difference(ObjectStore& store, ObjectStore& model);

}  // namespace spirula::filestore::testing
