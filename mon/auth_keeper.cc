#include "mon/auth_keeper.h"

#include "base/coroutine.h"
#include "base/log.h"

namespace spirula::mon {
namespace {

constexpr msg::EntityType services[] = {msg::EntityType::auth, msg::EntityType::mon, msg::EntityType::osd,
                                        msg::EntityType::mds, msg::EntityType::mgr};

}  // namespace

Task<Result<>> AuthKeeper::start() {
  next_global_id_ = decider_.state().auth().global_id_max() + 1;
  auto decided = co_await decider_.decide([this](Draft& draft) -> Result<> {
    TRY(draft_reserve(draft));
    return draft_rotation(draft);
  });
  co_return decided;
}

Result<> AuthKeeper::draft_reserve(Draft& draft) const {
  AuthService::Change change;
  change.global_id_max = draft->auth().global_id_max() + limits::global_ids_reserved;
  return draft.change<AuthService>(change);
}

Result<> AuthKeeper::draft_rotation(Draft& draft) const {
  AuthService::Change change;
  for (auto service : services) {
    auto secrets = draft->auth().secrets(service);
    if (!secrets.is_due(now())) continue;
    // What seals logins must outlive them (Ceph: KeyServer::_rotate_secret).
    auto lifetime = service == msg::EntityType::auth ? lifetimes_.login : lifetimes_.service;
    secrets.rotate(now(), lifetime, system_random());
    change.secrets[static_cast<std::uint32_t>(service)] = std::move(secrets);
  }
  if (change.secrets.empty()) return {};
  return draft.change<AuthService>(change);
}

void AuthKeeper::tick() {
  bool due = false;
  for (auto service : services) due |= secrets(service).is_due(now());
  if (!due) return;
  decider_.submit([this](Draft& draft) { return draft_rotation(draft); },
                  [](Result<> result) {
                    if (!result) log_warning("mon", "rotating the secrets failed: {}", result.error().message());
                  });
}

std::optional<msg::KeyServer::Entry> AuthKeeper::find(const msg::KeyName& name) const {
  const auto* entry = decider_.state().auth().find(name);
  if (!entry) return std::nullopt;
  return Entry{entry->key, entry->caps};
}

std::uint64_t AuthKeeper::allocate_global_id() {
  std::uint64_t most = decider_.state().auth().global_id_max();
  if (next_global_id_ + limits::global_ids_reserved / 2 > most && !reserving_) {
    reserving_ = true;
    decider_.submit([this](Draft& draft) { return draft_reserve(draft); }, [this](Result<>) { reserving_ = false; });
  }
  // With the reserve used up (the disk has been full for a long time) nobody may log in: 0 is nobody's id.
  return next_global_id_ <= most ? next_global_id_++ : 0;
}

msg::RotatingSecrets AuthKeeper::secrets(msg::EntityType service) const {
  return decider_.state().auth().secrets(service);
}

msg::Time AuthKeeper::now() const {
  return msg::Time::from(shard_.clock().wall());
}

}  // namespace spirula::mon
