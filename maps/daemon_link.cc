#include "maps/daemon_link.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>

#include "base/coroutine.h"
#include "base/log.h"

namespace spirula::maps {

using msg::EntityType;

std::string hostname() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

namespace {

/// The value of the first line `key<separator>value` of a file of such lines, without quotes.
std::string line_of(const char* path, std::string_view key, char separator) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    auto at = line.find(separator);
    if (at == line.npos || !line.starts_with(key) || line.find_first_not_of(" \t", key.size()) < at) continue;
    auto first = line.find_first_not_of(" \t\"", at + 1), last = line.find_last_not_of(" \t\"");
    return first == line.npos ? std::string() : line.substr(first, last - first + 1);
  }
  return {};
}

}  // namespace

msg::Metadata daemon_metadata() {
  msg::Metadata facts;
  facts["hostname"] = hostname();
  facts["ceph_version"] = version_text;
  facts["ceph_version_short"] = "16.2.15";
  facts["ceph_release"] = "pacific";
  utsname system{};
  if (::uname(&system) == 0) {
    facts["kernel_version"] = system.release;
    facts["kernel_description"] = system.version;
    facts["arch"] = system.machine;
    facts["os"] = system.sysname;
  }
  facts["distro"] = line_of("/etc/os-release", "ID", '=');
  facts["distro_description"] = line_of("/etc/os-release", "PRETTY_NAME", '=');
  facts["distro_version"] = line_of("/etc/os-release", "VERSION_ID", '=');
  facts["cpu"] = line_of("/proc/cpuinfo", "model name", ':');
  for (auto [name, key] : {std::pair("mem_total_kb", "MemTotal"), std::pair("mem_swap_kb", "SwapTotal")}) {
    std::string amount = line_of("/proc/meminfo", key, ':');
    facts[name] = amount.substr(0, amount.find(' '));
  }
  return facts;
}

Result<> DaemonLink::prepare_admission(EntityType own) {
  constexpr auto services = static_cast<std::uint32_t>(EntityType::mon) | static_cast<std::uint32_t>(EntityType::osd);
  auto credentials = msg::load_credentials(config_, services, own, shard_.random(), shard_.clock());
  if (!credentials) log_error("monc", "no key for {}: {}", config_.name(), credentials.error().message());
  TRY(credentials_, std::move(credentials));
  if (!credentials_.cephx) {
    admission_ = std::make_unique<msg::NoneService>([this] { return shard_.random().next() >> 1; });
    return {};
  }
  auto service = std::make_unique<msg::CephxTicketService>(own, shard_.random(),
                                                           [this] { return msg::Time::from(shard_.clock().wall()); });
  TRY(msg::ModeChoice modes, msg::modes_for(config_));
  service->set_modes(std::move(modes));
  tickets_ = service.get();
  admission_ = std::move(service);
  return {};
}

Result<> DaemonLink::listen(Plan plan, msg::Dispatcher& clients) {
  TRY(prepare_admission(plan.name.type));
  TRY(auto hosts, parse_mon_host(config_.text("mon_host")));

  msg::MessengerOptions wiring;
  wiring.name = plan.name;
  wiring.policy_for = std::move(plan.policy_for);
  wiring.auth_service = admission_.get();
  wiring.auth_client = credentials_.client.get();
  wiring.shards = std::move(plan.shards);
  if (plan.bytes_in_flight_max) wiring.bytes_in_flight_max = *plan.bytes_in_flight_max;
  router_.route_rest(clients);
  messenger_ = msg::Messenger::create(shard_, std::move(wiring), router_);

  MonClientOptions options;
  options.monitors = std::move(hosts);
  options.name = credentials_.name;
  options.cephx = credentials_.cephx;
  options.config = &config_;
  options.hostname = hostname();
  monitors_.emplace(shard_, std::move(options));
  router_.route(EntityType::mon, *monitors_);
  if (tickets_)
    monitors_->on_rotating_secrets([this](const msg::RotatingSecrets& secrets) { tickets_->set_secrets(secrets); });

  auto text = config_.text("public_addr");
  auto at = Endpoint::parse(text.empty() ? "127.0.0.1" : text);
  if (!at) log_error("msg", "public_addr {}: {}", text, at.error().message());
  TRY(at);
  auto bound = messenger_->bind(*at);
  if (!bound) log_error("msg", "listening at {}: {}", at->describe(), bound.error().message());
  return bound;
}

Task<Result<>> DaemonLink::log_in() {
  constexpr auto patience = std::chrono::hours(24 * 365);
  monitors_->start(*messenger_);
  Result<> ready = co_await monitors_->wait_until_ready(patience);
  if (!ready) log_error("monc", "the monitors do not let us in: {}", ready.error().message());
  co_return ready;
}

Task<> DaemonLink::stop() {
  if (monitors_) co_await monitors_->stop();
  if (messenger_) co_await messenger_->stop();
}

}  // namespace spirula::maps
