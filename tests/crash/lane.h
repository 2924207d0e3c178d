#pragma once
#include <array>
#include <optional>

#include "base/random.h"
#include "tests/crash/ledger.h"
#include "tests/crash/store_model.h"

namespace spirula::crash {

/// An endless sequence of transactions, the same for the same seed, on up to three collections of its own: one that is
/// always there, a child that is split off it and merged into it again, and a spare that is created, worked on, emptied
/// and removed, and made again. Nothing waits for these: they are submitted among the others, with those before them
/// still under way. Every transaction writes its number into its collection's metadata, so a store can say how far it
/// came.
class Lane {
 public:
  enum Role : unsigned { parent, child, spare };
  struct Step {
    std::uint64_t number = 0;
    Role role = parent;
    bool removes = false;  ///< the spare, and does not make it again
    CollectionId collection;
    Transaction transaction;
  };
  /// What an opened store says about a lane's collections: the number each one has, nothing if it has none.
  struct Progress {
    std::array<bool, 3> exists{};
    std::array<std::uint64_t, 3> at{};
  };

  /// With `large`, half of the operations are for the two objects that are written in megabytes.
  Lane(unsigned number, std::uint64_t seed, bool large = false) : lane_(number), seed_(seed), large_(large) {}

  Step next();
  /// Goes on to a step that has certainly happened, with all before it: later checks start there.
  void advance(std::uint64_t step) {
    while (number_ < step) (void)next();
  }
  /// The lane's numbers in a ledger: `roles` from the parent's.
  static constexpr std::uint32_t roles = 4;
  std::uint32_t ledger_lane(Role role) const { return lane_ * roles + role; }
  CollectionId collection(Role role) const;
  std::array<CollectionId, 3> collections() const { return {collection(parent), collection(child), collection(spare)}; }

  /// Generates on to the last step submitted, applies those the store says it has, and goes on from there: model() is
  /// then what the store must contain. What contradicts the ledger is returned; empty if nothing.
  std::string settle(const Progress& progress, const std::map<std::uint32_t, Bounds>& ledger);
  const StoreModel& model() const { return model_; }

 private:
  ObjectId object_name(std::uint64_t index) const;
  ObjectId pick_object(Random& random, const CollectionId& id) const;
  std::optional<ObjectId> pick_existing(Random& random, const CollectionId& id) const;
  void add_operation(Random& random, const CollectionId& id, Transaction& transaction) const;
  void add_metadata(Random& random, std::uint64_t number, Transaction& transaction) const;
  bool change_collections(Random& random, Step& step) const;

  unsigned lane_;
  std::uint64_t seed_;
  bool large_;
  std::uint64_t number_ = 0;
  StoreModel model_;
};

}  // namespace spirula::crash
