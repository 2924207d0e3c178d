#include "mon/legacy_port.h"

#include <array>

#include "base/coroutine.h"
#include "base/log.h"

namespace spirula::mon {
namespace {

constexpr std::string_view legacy_banner = "ceph v027";  // Linux: CEPH_BANNER in include/linux/ceph/msgr.h
constexpr std::size_t visitors_max = 64;
constexpr Duration patience = std::chrono::seconds(2);
constexpr Duration between_lines = std::chrono::seconds(10);  // a hanging mount tries again every few seconds

}  // namespace

Result<std::unique_ptr<LegacyPort>> LegacyPort::open(Shard& shard, Endpoint at) {
  TRY(auto listener, shard.network().listen(shard, at));
  std::unique_ptr<LegacyPort> port(new LegacyPort(shard, std::move(listener)));
  port->tasks_.spawn(port->serve());
  return port;
}

LegacyPort::LegacyPort(Shard& shard, std::unique_ptr<Listener> listener)
    : shard_(shard), listener_(std::move(listener)), tasks_(shard) {}

Task<> LegacyPort::serve() {
  while (true) {
    auto stream = co_await listener_->accept(shard_);
    if (!stream && stream.error() == Errc::cancelled) co_return;
    if (!stream) {
      auto slept = co_await shard_.clock().sleep(std::chrono::milliseconds(100));
      if (!slept) co_return;
      continue;
    }
    if (tasks_.size() <= visitors_max) tasks_.spawn(turn_away(std::move(*stream)));
  }
}

Task<> LegacyPort::turn_away(std::unique_ptr<Stream> stream) {
  auto timer = shard_.clock().call_after(patience, [peer = stream.get()] { peer->close(); });
  std::array<std::byte, legacy_banner.size()> banner;
  auto read = co_await stream->read_exact(banner);
  shard_.clock().cancel(timer);
  if (read) explain(stream->remote(), as_text(banner));
  stream->close();
}

void LegacyPort::explain(const Endpoint& from, std::string_view banner) {
  auto now = shard_.clock().now();
  if (explained_ != MonotonicTime{} && now - explained_ < between_lines) return;
  explained_ = now;
  if (banner == legacy_banner)
    log_warning("mon",
                "{} speaks the old protocol, which is not supported: mount with port 3300 and add "
                "ms_mode=prefer-crc (or ms_mode=secure)",
                from.describe());
  else
    log_warning("mon", "{} connects to the old port: monitors are at port 3300", from.describe());
}

Task<> LegacyPort::stop() {
  listener_->close();
  co_await tasks_.stop();
}

}  // namespace spirula::mon
