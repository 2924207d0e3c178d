#include "osd/media_verifier.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/coroutine.h"
#include "base/log.h"
#include "osd/limits.h"
#include "osd/map_history.h"

namespace spirula::osd {

using namespace std::chrono_literals;
namespace json = boost::json;

namespace {

constexpr const char* state_key = "verification";
/// Between looks at whether a pass is due: options and flags may have changed.
constexpr auto look_interval = 60s;
/// How far a pass may be thrown back by a crash, and how old what status() tells may be.
constexpr auto save_interval = 10s;
constexpr std::size_t name_bytes_shown_max = 300;

std::string name_of(const filestore::ObjectId& object) {
  std::string name = object.describe();
  if (name.size() > name_bytes_shown_max) name = name.substr(0, name_bytes_shown_max) + "...";
  return name;
}

std::string describe(const filestore::BadObject& bad) {
  if (bad.ranges.empty()) return fmt::format("{} cannot be looked at: {}", name_of(bad.object), bad.why.message());
  constexpr std::size_t ranges_shown_max = 4;
  std::string text = name_of(bad.object) + " does not verify at";
  for (std::size_t i = 0; i < std::min(bad.ranges.size(), ranges_shown_max); ++i)
    text += fmt::format(" {}~{}", bad.ranges[i].offset, bad.ranges[i].length);
  if (bad.ranges.size() > ranges_shown_max) text += fmt::format(" and {} more", bad.ranges.size() - ranges_shown_max);
  return text;
}

}  // namespace

MediaVerifier::MediaVerifier(Shard& home, const Config& config, filestore::ObjectStore& store, Surroundings around)
    : home_(home), config_(config), store_(store), around_(std::move(around)) {}

std::uint64_t MediaVerifier::seconds_now() const {
  auto since = home_.clock().wall().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(since).count());
}

Task<Result<>> MediaVerifier::load() {
  std::set<std::string> keys{state_key};
  auto values = co_await store_.collection_get(MapHistory::collection(), std::move(keys));
  CO_TRY(values);
  auto found = values->find(state_key);
  if (found == values->end()) co_return Result<>{};
  auto state = decode<VerificationState>(found->second);
  if (state)
    state_ = std::move(*state);
  else
    log_warning("osd", "what was noted of verification cannot be read: it begins anew");
  co_return Result<>{};
}

Task<Result<>> MediaVerifier::save() {
  filestore::Transaction transaction;
  transaction.space = filestore::Space::reserve;
  transaction.collection_set({{state_key, encode(state_)}});
  Result<> saved = co_await store_.submit(MapHistory::collection(), std::move(transaction));
  co_return saved;
}

bool MediaVerifier::due() const {
  if (asked_ || anew_) return true;
  if (!around_.may_begin()) return false;
  if (state_.under_way) return true;
  auto interval = std::chrono::duration_cast<std::chrono::seconds>(config_.duration("osd_verify_interval")).count();
  return interval > 0 && seconds_now() >= state_.ended + static_cast<std::uint64_t>(interval);
}

void MediaVerifier::begin_now() {
  anew_ = true;
  wanted_.set();
}

Task<> MediaVerifier::run() {
  Result<> result = co_await load();
  while (result) {
    if (due()) {
      result = co_await go_on();
      continue;
    }
    wanted_.reset();
    Result<> woken = co_await wanted_.wait_until(home_.clock(), home_.clock().now() + look_interval);
    if (!woken && woken.error() == make_error_code(Errc::cancelled)) co_return;
  }
  if (result.error() != make_error_code(Errc::cancelled))
    log_error("osd", "verification ends: {}", result.error().message());
}

/// A part of a pass, or its rest.
Task<Result<>> MediaVerifier::go_on() {
  if (std::exchange(anew_, false)) {
    asked_ = true;
    state_.under_way = false;
  }
  if (!state_.under_way) {
    VerificationState fresh;
    fresh.under_way = true;
    fresh.began = seconds_now();
    fresh.ended = state_.ended;
    fresh.damaged_before = state_.damaged_before;
    fresh.before = std::move(state_.before);
    state_ = std::move(fresh);
  }
  filestore::MediaCheckOptions options;
  options.bytes_per_second = config_.size("osd_verify_bytes_per_second");
  options.start = state_.next;
  MonotonicTime until = home_.clock().now() + save_interval;
  auto on_bad = [this](const filestore::BadObject& bad) { note(bad); };
  auto more = [this, until] { return !anew_ && home_.clock().now() < until && (asked_ || around_.may_begin()); };
  auto report = co_await filestore::check_media(store_, home_.clock(), options, on_bad, more);
  CO_TRY(report);
  state_.objects += report->objects;
  state_.bytes += report->bytes;
  state_.next = report->next;
  if (!state_.next) {
    asked_ = false;
    state_.under_way = false;
    state_.ended = seconds_now();
    state_.damaged_before = std::exchange(state_.damaged, 0);
    state_.before = std::exchange(state_.found, {});
    if (state_.objects)
      around_.log(state_.damaged_before ? msg::LogPriority::error : msg::LogPriority::info,
                  fmt::format("verified {} objects, {} bytes: {} damaged", state_.objects, state_.bytes,
                              state_.damaged_before));
  }
  Result<> saved = co_await save();
  co_return saved;
}

void MediaVerifier::note(const filestore::BadObject& bad) {
  ++state_.damaged;
  std::string text = describe(bad);
  log_error("osd", "{}", text);
  if (state_.found.size() >= limits::damaged_objects_named_max) return;
  std::uint64_t bytes = 0;
  for (const auto& range : bad.ranges) bytes += range.length;
  state_.found.push_back({bad.object, bytes});
  around_.log(msg::LogPriority::error, std::move(text));
}

std::string MediaVerifier::status() const {
  json::object all;
  all["state"] = !state_.under_way ? "idle" : due() ? "verifying" : "paused";
  all["began"] = state_.began;
  all["last_ended"] = state_.ended;
  all["objects"] = state_.objects;
  all["bytes"] = state_.bytes;
  all["bytes_used"] = store_.statistics().bytes_used;
  all["damaged_objects"] = worse_now() ? state_.damaged : state_.damaged_before;
  json::array damaged;
  for (const auto& each : worse_now() ? state_.found : state_.before)
    damaged.push_back(json::object{{"object", each.object.describe()}, {"bytes", each.bytes}});
  all["damaged"] = std::move(damaged);
  return json::serialize(all);
}

std::optional<msg::DaemonHealth> MediaVerifier::health() const {
  std::uint64_t count = worse_now() ? state_.damaged : state_.damaged_before;
  if (count == 0) return std::nullopt;
  const auto& named = worse_now() ? state_.found : state_.before;
  msg::DaemonHealth health;
  health.code = "OSD_DAMAGED_DATA";
  health.severity = 2;
  health.summary = fmt::format("{} object{} with data that do not verify{}", count, count == 1 ? "" : "s",
                               named.empty() ? "" : ", among them " + name_of(named.front().object));
  return health;
}

}  // namespace spirula::osd
