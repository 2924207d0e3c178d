#include "maps/osd_map_feed.h"

#include <algorithm>
#include <vector>

#include "base/coroutine.h"
#include "base/log.h"
#include "base/shard.h"
#include "base/wait.h"
#include "maps/mon_client.h"

namespace spirula::maps {

struct OsdMapFeed::Impl {
  Impl(Shard& s, MonClient& m) : shard(s), monitors(m) {}
  Shard& shard;
  MonClient& monitors;
  MapRef map;
  bool stopped = false;
  WaitList waiters;
  std::vector<std::function<void(const MapRef&)>> observers;
};

OsdMapFeed::OsdMapFeed(Shard& shard, MonClient& monitors) : impl_(std::make_unique<Impl>(shard, monitors)) {
  monitors.on<msg::OsdMapMessage>([this](msg::OsdMapMessage message) {
    if (!impl_->stopped) take(message);
  });
  monitors.subscribe("osdmap", 0);
}

OsdMapFeed::~OsdMapFeed() {
  stop();
}

void OsdMapFeed::stop() {
  impl_->stopped = true;
  impl_->waiters.wake_all();
}

const OsdMapFeed::MapRef& OsdMapFeed::current() const {
  return impl_->map;
}
Epoch OsdMapFeed::epoch() const {
  return impl_->map ? impl_->map->epoch : Epoch{};
}
void OsdMapFeed::on_change(std::function<void(const MapRef&)> observer) {
  impl_->observers.push_back(std::move(observer));
}

namespace {

/// The newest map that `message` leads to from `from`; `from` itself if it leads nowhere.
OsdMapFeed::MapRef advance(OsdMapFeed::MapRef from, const msg::OsdMapMessage& message) {
  Epoch newest_full = message.full.empty() ? Epoch{} : message.full.rbegin()->first;
  Epoch newest = std::max(newest_full, message.incrementals.empty() ? Epoch{} : message.incrementals.rbegin()->first);
  std::shared_ptr<OsdMap> next;
  if (from) {
    for (Epoch e = from->epoch.next(); e <= newest; ++e) {
      auto at = message.incrementals.find(e);
      if (at == message.incrementals.end()) break;
      auto change = OsdMapIncremental::decode_map(at->second);
      if (!next) next = std::make_shared<OsdMap>(*from);
      Result<> applied = change ? next->apply(*change) : Result<>(change.error());
      if (!applied) {
        log_warning("osdmap", "the change to epoch {} does not apply: {}", e.value, applied.error().message());
        next = nullptr;  // a full map may still help
        break;
      }
    }
  }
  Epoch reached = next ? next->epoch : from ? from->epoch : Epoch{};
  if (newest_full > reached) {
    auto full = OsdMap::decode_map(message.full.rbegin()->second);
    if (!full) {
      log_warning("osdmap", "epoch {} does not decode: {}", newest_full.value, full.error().message());
      return next ? next : from;
    }
    auto map = std::make_shared<OsdMap>(std::move(*full));
    return newest > newest_full ? advance(std::move(map), message) : map;
  }
  return next ? next : from;
}

}  // namespace

void OsdMapFeed::take(const msg::OsdMapMessage& message) {
  if (impl_->map && message.fsid != impl_->map->fsid) return;
  MapRef next = advance(impl_->map, message);
  if (next == impl_->map) {
    // Changes to epochs we cannot reach: the ones between have been trimmed, or do not apply. Ask for the whole.
    Epoch newest = message.incrementals.empty() ? Epoch{} : message.incrementals.rbegin()->first;
    if (newest > epoch()) impl_->monitors.subscribe("osdmap", 0);
    return;
  }
  impl_->map = std::move(next);
  impl_->monitors.got("osdmap", impl_->map->epoch.value);
  MapRef map = impl_->map;
  for (auto& observer : impl_->observers) observer(map);
  impl_->waiters.wake_all();
}

Task<Result<>> OsdMapFeed::wait_for(Epoch wanted, Duration timeout) {
  MonotonicTime deadline = impl_->shard.clock().now() + timeout;
  while (epoch() < wanted) {
    if (impl_->stopped) co_return Errc::cancelled;
    CO_TRY(co_await impl_->waiters.wait_until(impl_->shard.clock(), deadline));
  }
  co_return Result<>{};
}

Task<Result<>> OsdMapFeed::wait_for_latest(Duration timeout) {
  MonotonicTime deadline = impl_->shard.clock().now() + timeout;
  CO_TRY(auto version, co_await impl_->monitors.get_version("osdmap"));
  Duration left = std::max<Duration>(deadline - impl_->shard.clock().now(), std::chrono::milliseconds(1));
  Epoch newest{static_cast<std::uint32_t>(version.newest)};
  co_return co_await wait_for(newest, left);
}

}  // namespace spirula::maps
