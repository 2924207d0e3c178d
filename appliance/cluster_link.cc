#include "appliance/cluster_link.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <optional>

#include "appliance/folder_client.h"
#include "base/check.h"
#include "base/config.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "maps/daemon_link.h"
#include "maps/fs_map.h"
#include "maps/mon_client.h"
#include "msg/credentials.h"
#include "msg/peer_router.h"

namespace spirula::appliance {
namespace json = boost::json;
using msg::EntityType;

namespace {

constexpr Duration command_patience = std::chrono::seconds(20);
constexpr std::uint32_t share_folder_mode = 0777;  // who may mount it is decided by the key

}  // namespace

struct ClusterLink::Impl {
  explicit Impl(Shard& s) : shard(s), folders(s) {}
  Shard& shard;
  Config config{"client", "admin"};
  msg::Credentials credentials;
  msg::PeerRouter router;
  std::unique_ptr<msg::Messenger> messenger;
  std::optional<maps::MonClient> monitors;
  FolderClient folders;
  msg::AddressVector mds_address;
  Event mds_known;
  bool folders_busy = false;
  bool closed = false;

  Result<> connect();
  Task<Result<msg::AddressVector>> find_mds();
};

Result<> ClusterLink::Impl::connect() {
  auto addresses = parse_mon_host(config.text("mon_host"));
  if (!addresses) return Errc::invalid;
  constexpr auto services = static_cast<std::uint32_t>(EntityType::mon) | static_cast<std::uint32_t>(EntityType::mds);
  TRY(credentials, msg::load_credentials(config, services, EntityType::none, shard.random(), shard.clock()));
  msg::MessengerOptions wiring;
  wiring.name = {EntityType::client, -1};
  wiring.policy_for = [](EntityType peer) { return msg::Policy{.lossy = peer != EntityType::mds}; };
  wiring.auth_client = credentials.client.get();
  wiring.shards = {&shard};
  messenger = msg::Messenger::create(shard, wiring, router);
  maps::MonClientOptions options;
  options.monitors = std::move(*addresses);
  options.name = credentials.name;
  options.cephx = credentials.cephx;
  options.hostname = maps::hostname();
  monitors.emplace(shard, options);
  monitors->on<msg::FsMapMessage>([this](msg::FsMapMessage message) {
    auto map = decode<maps::FsMap>(message.map);
    if (!map || map->file_systems.empty()) return;
    const maps::MdsInfo* holder = map->file_systems.front().mds_map.holder(0);
    if (!holder || holder->state != msg::MdsState::active) return;
    mds_address = holder->addresses;
    mds_known.set();
  });
  router.route(EntityType::mon, *monitors);
  router.route(EntityType::mds, folders);
  monitors->start(*messenger);
  return {};
}

ClusterLink::ClusterLink() = default;
ClusterLink::~ClusterLink() {
  CHECK(impl_->closed, "close() first");
}

Task<Result<std::unique_ptr<ClusterLink>>> ClusterLink::open(Shard& shard, std::string conf, Duration timeout) {
  std::unique_ptr<ClusterLink> link(new ClusterLink);
  link->impl_ = std::make_unique<Impl>(shard);
  Impl& impl = *link->impl_;
  Result<> ready = impl.config.parse_file_text(conf);
  if (ready) ready = impl.connect();
  if (ready) ready = co_await impl.monitors->wait_until_ready(timeout);
  if (!ready) {
    co_await link->close();
    co_return ready.error();
  }
  co_return link;
}

Task<> ClusterLink::close() {
  if (std::exchange(impl_->closed, true)) co_return;
  if (impl_->monitors) co_await impl_->monitors->stop();
  if (impl_->messenger) co_await impl_->messenger->stop();
}

Task<Result<Answer>> ClusterLink::command(json::object words, std::string input) {
  words["format"] = "json";
  std::string text = json::serialize(words);
  CO_TRY(auto reply,
         co_await impl_->monitors->command(text, input.empty() ? Buffer{} : Buffer::copy_of(input), command_patience));
  Answer answer{.result = reply.result, .words = reply.text};
  Buffer output = reply.data.flatten();
  if (output.empty()) co_return answer;
  boost::system::error_code error;
  answer.output = json::parse(std::string(output.text()), error);
  if (error) answer.output = nullptr;
  co_return answer;
}

Task<Result<json::value>> ClusterLink::need(json::object words, std::string input) {
  const std::string prefix(words.at("prefix").as_string());
  auto answer = co_await command(std::move(words), std::move(input));
  if (!answer) {
    log_error("cluster", "{}: {}", prefix, answer.error().message());
    co_return answer.error();
  }
  if (answer->result < 0) {
    log_error("cluster", "{}: {}", prefix, answer->words);
    co_return from_wire(answer->result);
  }
  co_return std::move(answer->output);
}

Task<Result<msg::AddressVector>> ClusterLink::Impl::find_mds() {
  mds_address = {};
  mds_known.reset();
  monitors->subscribe("fsmap", 0);
  Result<> known = co_await mds_known.wait_until(shard.clock(), shard.clock().now() + command_patience);
  monitors->unsubscribe("fsmap");
  if (!known) co_return known.error();
  co_return mds_address;
}

Task<Result<>> ClusterLink::make_share_folder(std::string name, std::string name_space) {
  if (std::exchange(impl_->folders_busy, true)) co_return Errc::busy;
  auto address = co_await impl_->find_mds();
  Result<> done;
  if (!address) done = address.error();
  if (done) done = co_await impl_->folders.open(*impl_->messenger, *address);
  if (done) {
    done = co_await impl_->folders.ask(make_folder_request(name, share_folder_mode));
    if (!done && done.error() == Errc::exists) done = {};
  }
  if (done)
    done = co_await impl_->folders.ask(set_attribute_request(name, "ceph.dir.layout.pool_namespace", name_space));
  co_await impl_->folders.close();
  impl_->folders_busy = false;
  co_return done;
}

}  // namespace spirula::appliance
