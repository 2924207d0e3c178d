#include "mon/monitor.h"

#include <fmt/format.h>

#include "base/config.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "base/promise.h"
#include "maps/daemon_link.h"
#include "mon/config_location.h"
#include "mon/health.h"
#include "mon/options.h"
#include "msg/credentials.h"

namespace spirula::mon {
namespace {

constexpr std::uint16_t default_port = 3300;
constexpr Duration health_settles = std::chrono::seconds(15);

}  // namespace

Result<std::unique_ptr<Monitor>> Monitor::open(Shard& shard, Config& config) {
  std::string path = config.text("mon_data");
  auto storage = open_log_directory(path);
  if (!storage) {
    log_error("mon", "{}: {}", path,
              storage.error() == Errc::busy ? "another monitor is using it" : storage.error().message());
    return storage.error();
  }
  return open(shard, config, std::move(*storage));
}

Result<std::unique_ptr<Monitor>> Monitor::open(Shard& shard, Config& config, std::unique_ptr<LogStorage> storage) {
  std::string path = config.text("mon_data");
  DecisionLog::Restored restored;
  auto log = DecisionLog::open(std::move(storage), restored);
  if (!restored.note.empty()) log_warning("mon", "{}: {}", path, restored.note);
  if (!log) {
    log_error("mon", "{}: {}", path, restored.problem.empty() ? log.error().message() : restored.problem);
    return log.error();
  }
  auto state = State::load(std::move(restored.checkpoint));
  if (!state) {
    log_error("mon", "{}: checkpoint {} does not decode", path, restored.checkpoint_sequence);
    return state.error();
  }
  for (auto& [number, record] : restored.records) {
    auto decision = decode<Decision>(std::move(record));
    Result<> applied = decision ? state->apply(*decision) : Result<>(decision.error());
    if (!applied) {
      log_error("mon", "{}: decision {} cannot be replayed: {}", path, number, applied.error().message());
      return applied.error();
    }
  }
  log_info("mon", "mon.{} at decision {}: osdmap e{}, fsmap e{}", config.id(), (*log)->sequence(),
           state->osd().epoch().value, state->fs().map().epoch.value);
  return std::unique_ptr<Monitor>(new Monitor(shard, config, std::move(*log), std::move(*state)));
}

Monitor::Monitor(Shard& shard, Config& config, std::unique_ptr<DecisionLog> log, State state)
    : shard_(shard),
      config_(config),
      started_(shard.clock().now()),
      decider_(std::make_unique<Decider>(shard, std::move(log), std::move(state))),
      log_(shard, *decider_, config.id()),
      osds_(shard, *decider_, config, log_, stats_),
      mdss_(shard, *decider_, config, log_),
      publisher_(sessions_),
      tasks_(shard) {}

Monitor::~Monitor() = default;

/// public_addrv, public_addr, the only address in "mon host", or our entry in the monitor map.
Result<Endpoint> Monitor::own_endpoint() const {
  std::string text = config_.text("public_addrv");
  if (text.empty()) text = config_.text("public_addr");
  if (!text.empty()) {
    TRY(auto found, parse_mon_host(text));
    Endpoint endpoint = found.front();
    if (endpoint.port == 0) endpoint.port = default_port;
    return endpoint;
  }
  if (auto hosts = parse_mon_host(config_.text("mon_host")); hosts && hosts->size() == 1) {
    Endpoint endpoint = hosts->front();
    if (endpoint.port == 0) endpoint.port = default_port;
    return endpoint;
  }
  const auto& monitors = state().mon().map().monitors;
  auto found = monitors.find(config_.id());
  if (found == monitors.end()) return Errc::not_found;
  return found->second.addresses.msgr2().endpoint;
}

Task<Result<>> Monitor::start() {
  decider_->on_decided([this](const State& before) {
    decisions_.add();
    if (before.config().number() != state().config().number()) take_own_config();
    osds_.on_decided(before);
    mdss_.on_decided(before);
    publisher_.publish(before, state());
  });
  take_own_config();
  auto seconds = [&](const char* option) {
    return std::chrono::duration_cast<std::chrono::seconds>(config_.duration(option));
  };
  const msg::TicketLifetimes lifetimes{seconds("auth_mon_ticket_ttl"), seconds("auth_service_ticket_ttl")};
  keys_ = std::make_unique<AuthKeeper>(shard_, *decider_, lifetimes);
  CO_TRY(co_await keys_->start());
  if (config_.text("auth_service_required").find("none") != std::string::npos) {
    auth_ = std::make_unique<msg::NoneService>([this] { return keys_->allocate_global_id(); });
  } else {
    auto service = std::make_unique<msg::CephxMonitorService>(*keys_, system_random(), lifetimes);
    CO_TRY(msg::ModeChoice modes, msg::modes_for(config_));
    service->set_modes(std::move(modes));
    auth_ = std::move(service);
  }

  auto endpoint = own_endpoint();
  if (!endpoint) {
    log_error("mon", "no address to serve at: set \"public addr\" or \"mon host\"");
    co_return endpoint.error();
  }
  msg::MessengerOptions options;
  options.name = {msg::EntityType::mon, 0};
  options.policy_for = [](msg::EntityType) {
    return msg::Policy{};
  };  // everybody talks to a monitor over lossy sessions
  options.auth_service = auth_.get();
  options.nonce = 0;
  options.shards = {&shard_};
  messenger_ = msg::Messenger::create(shard_, std::move(options), *this);
  auto bound = messenger_->bind(*endpoint);
  if (!bound) {
    log_error("mon", "cannot serve at {}: {}", endpoint->describe(), bound.error().message());
    co_return bound.error();
  }
  log_.set_address(messenger_->address());
  CO_TRY(co_await register_address());
  log_info("mon", "mon.{} serves at {}", config_.id(), messenger_->address().describe());
  open_legacy_port(*endpoint);
  tasks_.spawn(tick_for_ever());
  co_return Result<>();
}

void Monitor::open_legacy_port(Endpoint own) {
  auto port = config_.integer("mon_legacy_port");
  if (port < 0) port = own.port == default_port ? 6789 : 0;
  if (port == 0) return;
  own.port = static_cast<std::uint16_t>(port);
  auto opened = LegacyPort::open(shard_, own);
  if (opened)
    legacy_port_ = std::move(*opened);
  else
    log_warning("mon", "cannot watch the old port at {}: {}", own.describe(), opened.error().message());
}

/// Our address may have changed since the last start; the map tells it to everybody.
Task<Result<>> Monitor::register_address() {
  auto own = messenger_->address();
  if (auto known = state().mon().map().monitors.find(config_.id());
      known != state().mon().map().monitors.end() && known->second.addresses == own)
    co_return Result<>();
  std::string id = config_.id();
  auto when = wall();
  auto decided = co_await decider_->decide([own, id, when](Draft& draft) -> Result<> {
    MonService::Change change{draft->mon().map()};
    auto& map = change.map;
    ++map.epoch;
    map.last_changed = when;
    map.monitors[id].name = id;
    map.monitors[id].addresses = own;
    if (std::ranges::find(map.ranks, id) == map.ranks.end()) map.ranks.push_back(id);
    return draft.change<MonService>(change);
  });
  co_return decided;
}

Task<> Monitor::tick_for_ever() {
  while (true) {
    auto slept = co_await shard_.clock().sleep(std::chrono::seconds(1));
    if (!slept) co_return;
    tick();
  }
}

void Monitor::tick() {
  keys_->tick();
  osds_.tick();
  mdss_.tick();
  note_health();
}

void Monitor::take_own_config() {
  config_.set_from_monitor(config_for(state(), "mon." + config_.id(), maps::hostname()));
}

void Monitor::note_health() {
  // Right after a start nothing has reported yet; what is wrong then is not news.
  if (shard_.clock().now() - started_ < health_settles) return;
  auto health = assess(state(), surroundings());
  std::map<std::string, std::string> seen;
  for (const auto& [code, check] : health.checks) seen[code] = check.summary;
  if (health_known_) {
    for (const auto& [code, summary] : seen)
      if (!health_noted_.contains(code))
        log_.add(
            health.checks[code].severity == HealthStatus::error ? msg::LogPriority::error : msg::LogPriority::warning,
            fmt::format("Health check failed: {} ({})", summary, code));
    for (const auto& [code, summary] : health_noted_)
      if (!seen.contains(code)) log_.info(fmt::format("Health check cleared: {} (was: {})", code, summary));
    if (seen.empty() && !health_noted_.empty()) log_.info("Cluster is now healthy");
  }
  if (auto over = mutes_over(health, wall()); !over.empty()) {
    for (const auto& [code, why] : over) log_.info(fmt::format("Health alert mute {} cleared ({})", code, why));
    decider_->submit(
        [over](Draft& draft) {
          HealthService::Change change;
          for (const auto& [code, why] : over) change.removed.insert(code);
          return draft.change<HealthService>(change);
        },
        [](Result<> result) {
          if (!result) log_warning("mon", "health mutes: {}", result.error().message());
        });
  }
  health_noted_ = std::move(seen);
  health_known_ = true;
}

Task<> Monitor::stop() {
  co_await tasks_.stop();
  if (legacy_port_) co_await legacy_port_->stop();
  if (messenger_) co_await messenger_->stop();
  auto last = sessions_.all();
  for (const auto& session : last) sessions_.remove(session->connection);  // each holds the other
  co_await decider_->stop();
}

msg::AddressVector Monitor::address() const {
  return messenger_->address();
}

Surroundings Monitor::surroundings() const {
  auto now = shard_.clock().now();
  return {wall(),          now,     std::chrono::duration<double>(now - started_).count(),
          system_random(), config_, options(),
          stats_,          mdss_,   sessions_,
          *decider_,       metrics_};
}

void Monitor::on_accept(msg::ConnectionRef connection) {
  sessions_.add(std::move(connection), shard_.clock().now());
  logins_.add();
  session_count_.set(static_cast<std::int64_t>(sessions_.all().size()));
}

void Monitor::on_reset(msg::ConnectionRef connection) {
  auto session = SessionList::of(connection);
  if (!session) return;
  if (session->is(msg::EntityType::osd)) osds_.on_reset(*session);
  sessions_.remove(connection);
  session_count_.set(static_cast<std::int64_t>(sessions_.all().size()));
}

void Monitor::execute(ParsedCommand command, std::string typed, std::string input, std::string caller, Answer answer) {
  commands_.add();
  struct Run {
    ParsedCommand command;
    std::string typed, input, caller;
    CommandResult result;
  };
  auto run = std::make_shared<Run>(std::move(command), std::move(typed), std::move(input), std::move(caller));
  auto call = [this, run](const State& state, auto&& function) {
    Surroundings around = surroundings();
    CommandCall made{state, around, run->command.arguments, run->command.format, run->input, run->caller, run->typed};
    return function(made);
  };
  if (run->command.row->read) return answer(call(state(), run->command.row->read));
  decider_->submit(
      [this, run, call](Draft& draft) -> Result<> {
        State before = draft.state();
        run->result = call(before, [&](const CommandCall& made) { return run->command.row->change(made, draft); });
        if (run->result.result < 0) return from_errno(-run->result.result);
        if (draft.empty()) return {};
        auto line = log_.entry(msg::LogPriority::info,
                               fmt::format("from='{}' cmd={}: finished", run->caller, run->typed), "audit");
        return draft.change<LogService>({{line}});
      },
      [run, answer = std::move(answer)](Result<> decided) mutable {
        if (!decided && run->result.result >= 0)
          run->result = CommandResult::fail(
              decided.error(), fmt::format("the decision could not be made durable: {}", decided.error().message()));
        answer(std::move(run->result));
      });
}

Task<CommandResult> Monitor::run_command(std::string json, std::string input, std::string caller) {
  ParsedCommand command;
  CommandTable::Problem problem;
  // The admin socket has commands of its own, and all that `ceph` has.
  if (!tell_commands().parse(json, command, problem) && !all_commands().parse(json, command, problem))
    co_return CommandResult::fail(problem.result, problem.text);
  if (!command.row) co_return CommandResult::print(all_commands().descriptions());
  Promise<CommandResult> answered;
  execute(std::move(command), json, std::move(input), std::move(caller),
          [answered](CommandResult result) mutable { answered.set(std::move(result)); });
  auto result = co_await answered.get();
  if (!result) co_return CommandResult::fail(result.error(), "stopping");
  co_return std::move(*result);
}

}  // namespace spirula::mon
