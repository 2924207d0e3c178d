#pragma once
#include <functional>
#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"
#include "maps/osd_map.h"
#include "msg/mon_messages.h"

namespace spirula::maps {

class MonClient;

/// The newest osdmap, kept so by a subscription. For clients: an OSD, which must know every epoch, keeps its own
/// history. Lives on the monitor client's shard and is called there; the maps themselves may go anywhere.
class OsdMapFeed {
 public:
  using MapRef = std::shared_ptr<const OsdMap>;

  /// Subscribes. Outlives nothing that calls it; stop() before the monitor client goes.
  OsdMapFeed(Shard& shard, MonClient& monitors);
  ~OsdMapFeed();
  void stop();

  /// nullptr before the first map.
  const MapRef& current() const;
  Epoch epoch() const;
  /// Until the map is of this epoch or a later one. Epoch 1 waits for any map. Errc::cancelled, Errc::timed_out.
  Task<Result<>> wait_for(Epoch epoch, Duration timeout);
  /// Until the map is as new as the monitor's is now: before saying that something is not in it.
  Task<Result<>> wait_for_latest(Duration timeout);
  /// Called after every change, in order of registration.
  void on_change(std::function<void(const MapRef&)> observer);

  /// A message with maps that came another way (OSDs share theirs with clients).
  void take(const msg::OsdMapMessage& message);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spirula::maps
