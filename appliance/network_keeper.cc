#include "appliance/network_keeper.h"

#include <time.h>
#include <unistd.h>

#include <fmt/format.h>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "appliance/files.h"
#include "appliance/limits.h"
#include "appliance/tools.h"
#include "base/coroutine.h"
#include "base/log.h"

namespace spirula::appliance {
namespace json = boost::json;
namespace {

/// Sorts before the image's own file, so that it is the one that counts.
constexpr const char* decided_file = "/05-spirula.network";
constexpr const char* tried_file = "/spirula-trial.json";

/// Not the wall clock, which may jump; and it goes on over a restart of this daemon.
std::int64_t uptime_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return now.tv_sec;
}

}  // namespace

std::string networkd_text(const NetworkSettings& settings) {
  std::string text = "[Match]\nType=ether\n\n[Network]\nMulticastDNS=no\n";
  if (settings.automatic) return text + "DHCP=yes\n";
  text += fmt::format("DHCP=no\nAddress={}\n", settings.address);
  if (!settings.gateway.empty()) text += fmt::format("Gateway={}\n", settings.gateway);
  if (!settings.name_server.empty()) text += fmt::format("DNS={}\n", settings.name_server);
  return text;
}

NetworkKeeper::NetworkKeeper(Shard& shard, DocumentStore& documents, BlockingPool& workers, std::string folder)
    : shard_(shard), documents_(documents), workers_(workers), folder_(std::move(folder)), tasks_(shard) {}

Task<> NetworkKeeper::start() {
  if (!is_ours()) co_return;
  if (auto text = read_file(folder_ + tried_file)) {
    boost::system::error_code error;
    json::value parsed = json::parse(*text, error);
    std::string problem;
    if (!error && parsed.is_object()) {
      const json::value* until = parsed.get_object().if_contains("until");
      auto settings = parse_network(parsed.get_object(), problem);
      if (problem.empty() && until && until->is_int64() && until->get_int64() > uptime_seconds()) {
        tried_ = std::move(settings);
        until_ = until->get_int64();
      }
    }
  }
  if (!tried_) {
    co_await take_back();
    co_return;
  }
  co_await put_in_place();  // the daemon before this one may have ended in between
  tasks_.spawn(count_down());
}

Task<> NetworkKeeper::stop() {
  co_await tasks_.stop();
}

Task<Result<bool>> NetworkKeeper::write(NetworkSettings settings) {
  Result<> done;
  bool differs = false;
  co_await workers_.run([&] {
    done = make_folder(folder_, 0755);
    const std::string path = folder_ + decided_file, text = networkd_text(settings);
    auto before = read_file(path);
    differs = !before || *before != text;
    if (done && differs) done = write_file(path, text, 0644);
  });
  if (!done) co_return done.error();
  co_return differs;
}

Task<> NetworkKeeper::put_in_place() {
  if (!folder_.starts_with("/run/systemd/")) co_return;  // nobody reads it elsewhere, as in a test
  co_await workers_.run([] {
    std::string words;
    if (!need_tool({"networkctl", "reload"}, words)) log_warning("network", "{}", words);
  });
}

Task<> NetworkKeeper::put_in_place_soon() {
  if (co_await shard_.clock().sleep(limits::address_changes_after)) co_await put_in_place();
}

Task<Result<>> NetworkKeeper::try_out(NetworkSettings settings) {
  if (!is_ours()) co_return Errc::unsupported;
  until_ = uptime_seconds() + limits::trial_seconds.count();
  json::object text = to_json(settings);
  text["until"] = until_;
  CO_TRY(make_folder(folder_, 0755));
  CO_TRY(write_file(folder_ + tried_file, json::serialize(text), 0600));
  const bool counting = tried_.has_value();
  tried_ = settings;
  log_info("network", "trying {}", settings.automatic ? "DHCP" : settings.address);
  if (!counting) tasks_.spawn(count_down());
  auto differs = co_await write(std::move(settings));
  if (!differs) co_return differs.error();
  if (*differs) tasks_.spawn(put_in_place_soon());
  co_return Result<>{};
}

Task<Result<>> NetworkKeeper::keep() {
  if (!tried_) co_return Errc::not_found;
  Document document = documents_.current();
  document.network = *tried_;
  CO_TRY(documents_.save(std::move(document)));
  tried_.reset();
  ::unlink((folder_ + tried_file).c_str());
  log_info("network", "kept");
  co_return Result<>{};
}

Task<> NetworkKeeper::count_down() {
  while (tried_ && uptime_seconds() < until_)
    if (!co_await shard_.clock().sleep(std::chrono::milliseconds(250))) co_return;
  if (!tried_) co_return;
  log_warning("network", "nobody kept the new address: back to the one before");
  tried_.reset();
  co_await take_back();
}

Task<> NetworkKeeper::take_back() {
  ::unlink((folder_ + tried_file).c_str());
  auto differs = co_await write(documents_.current().network);
  if (!differs) log_error("network", "{}{}: {}", folder_, decided_file, differs.error().message());
  if (differs && *differs) co_await put_in_place();
}

std::optional<NetworkKeeper::Trial> NetworkKeeper::trial() const {
  if (!tried_) return {};
  return Trial{*tried_, static_cast<int>(std::max<std::int64_t>(0, until_ - uptime_seconds()))};
}

}  // namespace spirula::appliance
