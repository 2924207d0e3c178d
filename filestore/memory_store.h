#pragma once
#include <memory>

#include "filestore/object_store.h"

namespace spirula::filestore {

/// The promises of ObjectStore kept in memory, for simulations and as the model that Filestore is tested against. It
/// lives on one shard. What is submitted becomes durable at once unless hold_durability() says otherwise.
class MemoryStore : public ObjectStore {
 public:
  static std::unique_ptr<MemoryStore> make();
  /// Submitted transactions stay pending (their submit() does not complete) until release_durability().
  virtual void hold_durability() = 0;
  virtual void release_durability() = 0;
  /// Power loss: what was not durable is forgotten, its submit() calls end with Errc::io; the store goes on as if it
  /// had been opened again.
  virtual void crash() = 0;
};

}  // namespace spirula::filestore
