#include "appliance/settings_api.h"

#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include <fmt/format.h>

#include "appliance/json_read.h"
#include "appliance/limits.h"
#include "appliance/tools.h"
#include "base/coroutine.h"
#include "base/log.h"

namespace spirula::appliance {
namespace json = boost::json;
namespace {

constexpr const char* name_schema =
    R"({"type":"object","required":["name"],"properties":{"name":{"type":"string","pattern":"^[a-z0-9][a-z0-9-]*$","maxLength":40}}})";
constexpr const char* network_schema =
    R"({"type":"object","required":["automatic"],"properties":{"automatic":{"type":"boolean","description":"by DHCP; the rest is not looked at then"},"address":{"type":"string","description":"with its prefix: 192.168.1.5/24"},"gateway":{"type":"string"},"name_server":{"type":"string"}}})";
constexpr const char* certificate_schema =
    R"({"type":"object","required":["certificate","key"],"properties":{"certificate":{"type":"string","description":"PEM, with the certificates that lead to a known authority after it"},"key":{"type":"string","description":"PEM, without a password"}}})";
constexpr const char* clock_schema =
    R"({"type":"object","required":["now"],"properties":{"now":{"type":"integer","description":"seconds since 1970"}}})";
/// 2020 to 2100: what is outside is a mistake.
constexpr std::int64_t clock_min = 1'577'836'800, clock_max = 4'102'444'800;

/// Whether a time source keeps the machine's clock right.
bool clock_is_kept() {
  timex state{};
  return ::adjtimex(&state) >= 0 && !(state.status & STA_UNSYNC);
}

HttpResponse trial_begins() {
  return ok({{"seconds", limits::trial_seconds.count()}});
}

}  // namespace

SettingsApi::SettingsApi(Shard& shard, DocumentStore& documents, NetworkKeeper& network, BlockingPool& workers,
                         TlsIdentity identity, Around around)
    : shard_(shard),
      documents_(documents),
      network_(network),
      workers_(workers),
      identity_(std::move(identity)),
      around_(std::move(around)),
      tasks_(shard) {}

void SettingsApi::start() {
  if (around_.set_name) tasks_.spawn(follow_name());
}

Task<> SettingsApi::stop() {
  co_await tasks_.stop();
}

void SettingsApi::add_to(Router& router) {
  router.add({"GET", "/api/v1/settings", Access::viewer, "name, address, certificate, clock", "",
              action(this, &SettingsApi::get_settings)});
  router.add({"PUT", "/api/v1/name", Access::administrator, "call the box something else", name_schema,
              action(this, &SettingsApi::rename)});
  router.add({"PUT", "/api/v1/network", Access::administrator,
              "try another address for a minute; without /network/keep all is as before then", network_schema,
              action(this, &SettingsApi::try_network)});
  router.add({"POST", "/api/v1/network/keep", Access::administrator, "keep the address that is tried out", "",
              action(this, &SettingsApi::keep_network)});
  router.add({"PUT", "/api/v1/certificate", Access::administrator,
              "try a certificate of your own for a minute; without /certificate/keep all is as before then",
              certificate_schema, action(this, &SettingsApi::try_certificate)});
  router.add({"POST", "/api/v1/certificate/keep", Access::administrator, "keep the certificate that is tried out", "",
              action(this, &SettingsApi::keep_certificate)});
  router.add({"DELETE", "/api/v1/certificate", Access::administrator,
              "back to the certificate that the box made for itself", "",
              action(this, &SettingsApi::forget_certificate)});
  router.add({"PUT", "/api/v1/clock", Access::administrator, "set the box's clock", clock_schema,
              action(this, &SettingsApi::set_clock)});
}

Task<HttpResponse> SettingsApi::get_settings(Call) {
  json::object network{{"ours", network_.is_ours()}, {"address", around_.address}};
  network["settings"] = to_json(network_.decided());
  if (auto trial = network_.trial())
    network["trial"] = {{"settings", to_json(trial->settings)}, {"seconds", trial->seconds_left}};
  json::object certificate{{"fingerprint", identity_.fingerprint},
                           {"own", identity_.fingerprint != around_.own_making.fingerprint}};
  if (before_) {
    auto left = std::chrono::duration_cast<std::chrono::seconds>(until_ - shard_.clock().now()).count();
    certificate["trial"] = {{"seconds", std::max<std::int64_t>(left, 0)}};
  }
  co_return ok({{"name", documents_.current().name},
                {"network", std::move(network)},
                {"certificate", std::move(certificate)},
                {"clock", {{"now", std::time(nullptr)}, {"kept", clock_is_kept()}, {"ours", around_.set_clock}}}});
}

Task<HttpResponse> SettingsApi::rename(Call call) {
  std::string name = text_in(call.body, "name");
  if (auto problem = problem_with_box_name(name); !problem.empty()) co_return fail(422, "name", problem);
  Document document = documents_.current();
  document.name = std::move(name);
  if (auto saved = documents_.save(std::move(document)); !saved) co_return not_saved(saved.error());
  co_return ok(json::object{{"name", documents_.current().name}});
}

Task<> SettingsApi::follow_name() {
  std::string now;
  do {
    if (documents_.current().name == now) continue;
    now = documents_.current().name;
    if (::sethostname(now.data(), now.size()) != 0) {
      log_warning("box", "the name {} cannot be taken: {}", now, last_errno().message());
      continue;
    }
    // It announces the name that it found when it was started.
    co_await workers_.run([] { (void)run_tool({"systemctl", "--no-block", "try-restart", "avahi-daemon"}); });
  } while (co_await shard_.clock().sleep(std::chrono::seconds(1)));
}

Task<HttpResponse> SettingsApi::try_network(Call call) {
  if (!network_.is_ours())
    co_return fail(409, "not_ours",
                   "This computer's address is not for the box to change: use the computer's own tools.");
  std::string problem;
  NetworkSettings wanted = parse_network(call.body, problem);
  if (!problem.empty()) co_return fail(422, "network", problem);
  auto done = co_await network_.try_out(std::move(wanted));
  if (!done) co_return fail(500, "network", fmt::format("The address cannot be changed: {}.", done.error().message()));
  co_return trial_begins();
}

Task<HttpResponse> SettingsApi::keep_network(Call) {
  auto kept = co_await network_.keep();
  if (!kept && kept.error() == Errc::not_found)
    co_return fail(409, "no_trial", "The minute is over, and the address is the one from before. Try again.");
  if (!kept) co_return not_saved(kept.error());
  co_return ok(json::object{});
}

Task<HttpResponse> SettingsApi::try_certificate(Call call) {
  auto identity = identity_from(text_in(call.body, "certificate"), text_in(call.body, "key"));
  if (!identity || !around_.use(*identity))
    co_return fail(422, "certificate",
                   "This is not a certificate with its key. Both are texts that begin with -----BEGIN; the key must "
                   "not have a password.");
  if (!before_) before_ = identity_;
  identity_ = std::move(*identity);
  until_ = shard_.clock().now() + limits::trial_seconds;
  tasks_.spawn(count_down(++trial_));
  log_info("page", "trying the certificate {}", identity_.fingerprint);
  co_return trial_begins();
}

Task<HttpResponse> SettingsApi::keep_certificate(Call) {
  if (!before_)
    co_return fail(409, "no_trial", "The minute is over, and the certificate is the one from before. Try again.");
  if (auto saved = save_own_identity(around_.state, identity_); !saved) co_return not_saved(saved.error());
  before_.reset();
  ++trial_;
  co_return ok(json::object{});
}

Task<HttpResponse> SettingsApi::forget_certificate(Call) {
  if (!forget_own_identity(around_.state) || !around_.use(around_.own_making))
    co_return fail(500, "not_saved", "The certificate could not be removed. Try again.");
  before_.reset();
  ++trial_;
  identity_ = around_.own_making;
  co_return ok(json::object{});
}

Task<> SettingsApi::count_down(std::uint64_t trial) {
  if (!co_await shard_.clock().sleep(limits::trial_seconds)) co_return;
  if (trial != trial_ || !before_) co_return;
  log_warning("page", "nobody kept the new certificate: back to the one before");
  identity_ = std::move(*before_);
  before_.reset();
  (void)around_.use(identity_);
}

Task<HttpResponse> SettingsApi::set_clock(Call call) {
  const json::value* now = call.body.if_contains("now");
  if (!now || !now->is_int64() || now->get_int64() < clock_min || now->get_int64() > clock_max)
    co_return fail(422, "clock", "Give the time as seconds since 1970.");
  if (!around_.set_clock)
    co_return fail(409, "not_ours",
                   "This computer's clock is not for the box to change: use the computer's own tools.");
  timespec wanted{.tv_sec = now->get_int64(), .tv_nsec = 0};
  if (::clock_settime(CLOCK_REALTIME, &wanted) != 0)
    co_return fail(500, "clock", fmt::format("The clock cannot be set: {}.", last_errno().message()));
  log_info("box", "the clock was set");
  co_return ok(json::object{});
}

}  // namespace spirula::appliance
