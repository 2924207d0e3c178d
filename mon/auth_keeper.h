#pragma once
#include <cstdint>
#include <set>

#include "base/shard.h"
#include "mon/decider.h"
#include "msg/cephx_server.h"

namespace spirula::mon {

/// What logins need of the replicated state: keys, rotating secrets, global ids. Lives on the monitor's shard, like
/// every connection of the monitor.
class AuthKeeper : public msg::KeyServer {
 public:
  AuthKeeper(Shard& shard, Decider& decider, msg::TicketLifetimes lifetimes)
      : shard_(shard), decider_(decider), lifetimes_(lifetimes) {}

  /// Reserves global ids and makes the first secrets; before the first login. Errors of deciding.
  Task<Result<>> start();
  /// Rotates secrets that are due.
  void tick();

  std::optional<Entry> find(const msg::KeyName& name) const override;
  std::uint64_t allocate_global_id() override;
  msg::RotatingSecrets secrets(msg::EntityType service) const override;
  msg::Time now() const override;

 private:
  Result<> draft_rotation(Draft& draft) const;
  Result<> draft_reserve(Draft& draft) const;

  Shard& shard_;
  Decider& decider_;
  msg::TicketLifetimes lifetimes_;
  std::uint64_t next_global_id_ = 0;
  bool reserving_ = false;
};

namespace limits {
/// Ids promised ahead, so that no login waits for the disk; a restart skips what was left of them.
inline constexpr std::uint64_t global_ids_reserved = 100'000;
}  // namespace limits

}  // namespace spirula::mon
