#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "filestore/btrfs.h"
#include "filestore/transaction.h"

namespace spirula::filestore {

/// What a transaction may take of the disk at most: every byte it writes is new space (nothing is overwritten in place
/// while a snapshot holds it), and a change of a file copies leaves of btrfs's trees.
struct SpaceCharge {
  std::uint64_t data = 0, metadata = 0;
  SpaceCharge& operator+=(const SpaceCharge& more) {
    data += more.data;
    metadata += more.metadata;
    return *this;
  }
};
SpaceCharge charge_of(const Transaction& transaction);
/// It makes room, now or when the snapshots that hold it are gone: deletes, and what shrinks.
bool only_frees(const Transaction& transaction);

/// Who may take how much of the disk: plain arithmetic, no I/O. Thread-safe.
/// Space that a transaction takes is counted from its submission until a sync has put it on the disk, from when on the
/// disk itself says what is left. Below what ordinary transactions may take lies a reserve, which must last for two
/// commit cycles, because space comes back only when the snapshots that hold it are dropped and cleaned: marked
/// transactions may take a part of it (of data three quarters, of metadata half), deletes an eighth more, and the rest
/// is for commits, the index's compactions and a replay. Invariant: the data that is admitted fits, whatever order it
/// reaches the disk in. Of metadata the charges are worst cases that many small transactions share, so what is under
/// way counts as one metadata reserve at most; what goes beyond that meets btrfs's ENOSPC and the retry after a sync.
class SpaceLedger {
 public:
  /// What the disk says now. After a sync: everything that was applied (see applied()) before `mark` is in it.
  void observe(const btrfs::Space& space, std::uint64_t mark);
  /// The same at any other time: it counts only where it is better news than what is known, because what is on its way
  /// may be in it or not.
  void observe(const btrfs::Space& space);

  /// Errc::no_space. What `reservation` has left is used up first.
  Result<> take(const SpaceCharge& charge, Space kind, bool frees, SpaceReservation* reservation);
  /// It did not happen after all.
  void give_back(const SpaceCharge& charge);
  void applied(const SpaceCharge& charge);
  /// The place that observe() is told after the next sync.
  std::uint64_t mark() const;

  /// Errc::no_space.
  Result<std::shared_ptr<SpaceReservation>> reserve(std::uint64_t bytes, Space kind);

  /// What an ordinary transaction may take.
  std::uint64_t available() const;
  /// Of data that may wait for a commit: a crash writes it once more beside what was there.
  std::uint64_t dirty_bytes_max() const;
  /// So little is left that commits should give back soon what they can.
  bool low() const;
  /// Low, and a commit would turn what is counted into what is known.
  bool wants_commit() const;
  btrfs::Space last() const;
  /// For logs.
  std::string describe() const;

  SpaceLedger();
  ~SpaceLedger();
  struct State;

 private:
  std::shared_ptr<State> state_;  ///< reservations hold it too
};

}  // namespace spirula::filestore
