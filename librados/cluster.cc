#include "librados/cluster.h"

#include <optional>

#include "base/check.h"
#include "base/coroutine.h"
#include "maps/daemon_link.h"
#include "msg/credentials.h"
#include "msg/messenger.h"
#include "msg/peer_router.h"

namespace spirula::librados {

using msg::EntityType;

struct Cluster::Impl {
  msg::Credentials credentials;
  msg::PeerRouter router;
  std::unique_ptr<msg::Messenger> messenger;
  std::optional<maps::MonClient> monitors;
  std::optional<maps::OsdMapFeed> maps;
  std::optional<Objecter> objecter;
  bool stopped = false;
};

Cluster::Cluster() : impl_(std::make_unique<Impl>()) {}
Cluster::~Cluster() {
  CHECK(impl_->stopped, "stop() first");
}

Task<Result<std::unique_ptr<Cluster>>> Cluster::connect(Shard& shard, Config& config, Duration timeout,
                                                        ObjecterOptions options) {
  auto monitors = parse_mon_host(config.text("mon_host"));
  if (!monitors) co_return Errc::not_found;
  constexpr auto services = static_cast<std::uint32_t>(EntityType::mon) | static_cast<std::uint32_t>(EntityType::osd) |
                            static_cast<std::uint32_t>(EntityType::mds);
  CO_TRY(msg::Credentials credentials,
         msg::load_credentials(config, services, EntityType::none, shard.random(), shard.clock()));

  std::unique_ptr<Cluster> cluster(new Cluster);
  Impl& impl = *cluster->impl_;
  impl.credentials = std::move(credentials);

  msg::MessengerOptions wiring;
  wiring.name = {static_cast<EntityType>(impl.credentials.name.type), -1};
  wiring.policy_for = [](EntityType peer) { return msg::Policy{.lossy = peer != EntityType::mds}; };
  wiring.auth_client = impl.credentials.client.get();
  wiring.shards = {&shard};
  impl.messenger = msg::Messenger::create(shard, wiring, impl.router);

  maps::MonClientOptions mon_options;
  mon_options.monitors = std::move(*monitors);
  mon_options.name = impl.credentials.name;
  mon_options.cephx = impl.credentials.cephx;
  mon_options.config = &config;
  mon_options.hostname = maps::hostname();
  impl.monitors.emplace(shard, mon_options);
  impl.router.route(EntityType::mon, *impl.monitors);
  impl.maps.emplace(shard, *impl.monitors);
  impl.objecter.emplace(shard, *impl.messenger, *impl.monitors, *impl.maps, options);
  impl.router.route(EntityType::osd, *impl.objecter);

  impl.monitors->start(*impl.messenger);
  Result<> ready = co_await impl.monitors->wait_until_ready(timeout);
  if (!ready) {
    co_await cluster->stop();
    co_return ready.error();
  }
  co_return cluster;
}

Task<> Cluster::stop() {
  if (std::exchange(impl_->stopped, true)) co_return;
  co_await impl_->objecter->stop();
  impl_->maps->stop();
  co_await impl_->monitors->stop();
  co_await impl_->messenger->stop();
}

maps::MonClient& Cluster::monitors() {
  return *impl_->monitors;
}
msg::Messenger& Cluster::messenger() {
  return *impl_->messenger;
}
void Cluster::route(EntityType peer, msg::Dispatcher& to) {
  impl_->router.route(peer, to);
}
maps::OsdMapFeed& Cluster::maps() {
  return *impl_->maps;
}
Objecter& Cluster::objecter() {
  return *impl_->objecter;
}

Task<Result<std::int64_t>> Cluster::find_pool(std::string name) {
  CO_TRY(co_await impl_->maps->wait_for(msg::Epoch{1}, std::chrono::seconds(30)));
  if (auto id = impl_->maps->current()->pool_by_name(name)) co_return *id;
  CO_TRY(co_await impl_->maps->wait_for_latest(std::chrono::seconds(30)));
  if (auto id = impl_->maps->current()->pool_by_name(name)) co_return *id;
  co_return Errc::not_found;
}

}  // namespace spirula::librados
