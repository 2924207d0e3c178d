#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <system_error>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "filestore/object_store.h"

namespace spirula::filestore {

struct MediaCheckOptions {
  std::uint64_t bytes_per_second = 32 << 20;  ///< read from the medium, on average; 0: as fast as it goes
  /// Where to begin: what an earlier pass that was stopped has said it had reached.
  std::optional<ObjectId> start;
};
struct BadObject {
  ObjectId object;
  std::vector<Extent> ranges;  ///< empty: the object could not be looked at, see `why`
  std::error_code why;
};
struct MediaCheckReport {
  std::uint64_t objects = 0, bytes = 0, bad = 0;
  /// Where to go on, when the visitor has stopped it; nothing when the pass is complete.
  std::optional<ObjectId> next;
};

/// One pass over a store's objects in store order: reads and verifies each one's data on the medium, at most
/// `bytes_per_second`, beside whatever else the store does. `on_bad` is called for each object that is bad, by name;
/// `go_on` is asked before each object. Objects that are removed meanwhile are passed over. Runs on the caller's shard;
/// memory is one page of names. Errc::cancelled when the task is cancelled.
Task<Result<MediaCheckReport>> check_media(ObjectStore& store, Clock& clock, MediaCheckOptions options,
                                           std::function<void(const BadObject&)> on_bad, std::function<bool()> go_on);

/// Whether one of these, in ascending order, reaches into [offset, +length): holes are not on the medium.
bool overlaps(const std::vector<Extent>& extents, std::uint64_t offset, std::uint64_t length);

}  // namespace spirula::filestore
