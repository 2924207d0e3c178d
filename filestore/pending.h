#pragma once
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "filestore/admission.h"
#include "filestore/journal.h"
#include "filestore/key.h"
#include "filestore/space.h"
#include "filestore/transaction.h"

namespace spirula::filestore {

/// A transaction on its way: submitted, then durable, then applied.
struct Submission : Journal::Entry {
  CollectionId collection;
  Transaction transaction;
  std::vector<std::string> keys;  ///< key::object() of each operation's object, empty for collection operations
  std::uint64_t bytes = 0;        ///< of memory, about
  SpaceCharge charge;             ///< of the disk, at most
  bool frees = false;             ///< a marked one that only makes room
  unsigned lane = 0;
  /// The order of submission. The journal's sequence may differ from it between collections (a transaction whose
  /// payload is being staged waits, and its collection with it), never within one.
  std::uint64_t ticket = 0;
  std::atomic<bool> started{false};  ///< it copies, and has begun to be applied
  struct Staged {
    std::shared_ptr<StagedExtent> extent;
    BufferList data;
  };
  /// A part of a staging ring; outlives the submission, whose memory is let go when it is applied.
  struct RingUse {
    std::atomic<std::uint64_t> sequence{0};  ///< of the transaction; 0: not yet in the journal
    std::atomic<bool> refused{false};        ///< there will be no transaction
  };
  std::shared_ptr<RingUse> ring_use;
  std::vector<Staged> staged;  ///< payloads to be written to staging/ first
  std::uint64_t staged_bytes = 0;
  std::uint32_t ring = 0;
  bool ready = true;                          ///< nothing has to be staged any more
  std::vector<CollectionId> also_ordered_in;  ///< of a split or merge: the other collection
  bool copies = false;                        ///< reads other objects (Clone, CloneRange, Rename)
  bool barrier = false;                       ///< moves objects between collections: applied while nothing else is

  /// The one who waits for it. settle_all() has every waiter of one loop resumed by a single post to it: a loop that is
  /// woken for the first of many would send what the first submits next alone, and the others' behind it.
  struct Waiter {
    const void* loop = nullptr;
    std::move_only_function<void()> resume;                               ///< on the loop's thread
    std::move_only_function<void(std::move_only_function<void()>)> post;  ///< from any thread
  };
  /// On any thread; once. False if it is settled already: then the waiter stays the caller's.
  bool wait(Waiter& waiter);
  static void settle_all(std::span<const std::shared_ptr<Submission>> submissions, Result<> with);
  bool settled() const { return state_.load(std::memory_order_acquire) == State::settled; }
  Result<> outcome;  ///< once settled

 private:
  enum class State : std::uint8_t { open, awaited, settled };
  std::atomic<State> state_{State::open};
  Waiter waiter_;
};
using SubmissionPointer = std::shared_ptr<Submission>;

/// What a reader has to add to the applied state of one object: its pending operations in order, back to the last one
/// that replaced the object whole. Applying them to a state that already has some of them gives the same result, with
/// one exception: a copy takes its source as of its own place, so the source comes with its own plan, and the reader
/// must see (Submission::started) that no copy has begun to be applied while it was reading.
struct PendingPlan {
  struct Step {
    SubmissionPointer submission;  ///< keeps the operation alive
    const Transaction::ObjectOperation* operation;
    bool removed_by_rename = false;  ///< the object was the source of a Rename
    std::unique_ptr<PendingPlan> source;
  };
  std::string key;
  std::vector<Step> steps;
  bool replaced = false;  ///< the first step replaces the object: what is applied does not matter
};
struct CollectionPlan {
  struct Step {
    SubmissionPointer submission;
    const Transaction::CollectionOperation* operation;
    bool merged_away;  ///< the collection was the source of a MergeCollection
  };
  std::vector<Step> steps;
};

/// Every pending operation by the object it concerns. Guarded by the store's mutex, which callers hold.
class PendingTable {
 public:
  void add(const SubmissionPointer& submission);
  /// When it is applied (or has failed). In the order of add() within a collection.
  void remove(const Submission& submission);

  /// `copies` collects each copying submission that the plan depends on.
  using Copy = SubmissionPointer;
  std::unique_ptr<PendingPlan> plan(const std::string& key, std::vector<Copy>& copies) const;
  CollectionPlan collection_plan(const CollectionId& id) const;
  /// Objects with pending operations in a range of keys.
  std::vector<std::unique_ptr<PendingPlan>> plans(const key::Range& range, std::vector<Copy>& copies) const;
  bool empty() const { return objects_.empty() && collections_.empty(); }

 private:
  struct Reference {
    SubmissionPointer submission;
    std::size_t index;
    bool as_source;
  };
  /// Oldest first. Most objects have a few, and a deque begins with half a KiB.
  class References {
   public:
    void push_back(Reference reference) { list_.push_back(std::move(reference)); }
    auto begin() const { return list_.begin() + static_cast<std::ptrdiff_t>(gone_); }
    auto end() const { return list_.end(); }
    /// All up to and with that submission's go; true if none is left.
    bool drop_until(std::uint64_t ticket);

   private:
    std::vector<Reference> list_;
    std::size_t gone_ = 0;  ///< at its front
  };
  std::unique_ptr<PendingPlan> plan_before(const std::string& key, std::uint64_t ticket, std::size_t index,
                                           std::vector<Copy>& copies) const;
  std::map<std::string, References> objects_;
  std::map<CollectionId, References> collections_;
};

}  // namespace spirula::filestore
