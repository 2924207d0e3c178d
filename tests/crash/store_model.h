#pragma once
#include <map>
#include <memory>
#include <string>

#include "filestore/transaction.h"

namespace spirula::crash {

using filestore::CollectionId;
using filestore::ObjectId;
using filestore::Transaction;

struct ModelObject {
  std::string data, omap_header;
  std::map<std::string, std::string> attributes, omap;
};
struct ModelCollection {
  unsigned bits = 0;
  std::map<std::string, std::string> metadata;
  /// Shared with copies of the model; changed in place only when nobody else holds it.
  std::map<ObjectId, std::shared_ptr<ModelObject>> objects;
};

/// What a store promises, in the plainest way: the oracle of the crash tests. Takes only transactions that succeed.
/// Copying it is cheap.
class StoreModel {
 public:
  void apply(const CollectionId& collection, const Transaction& transaction);
  const std::map<CollectionId, ModelCollection>& collections() const { return collections_; }
  const ModelCollection* find(const CollectionId& collection) const;

 private:
  void apply_to(ModelCollection& collection, const ObjectId& object, const Transaction::ObjectOperation& operation);
  void apply_to(const CollectionId& collection, const Transaction::CollectionOperation& operation);
  std::map<CollectionId, ModelCollection> collections_;
};

/// Whether an object of this hash lies in the collection when it has `bits` bits.
bool lies_in(std::uint32_t hash, const CollectionId& collection, unsigned bits);

}  // namespace spirula::crash
