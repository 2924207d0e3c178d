#include "maps/mon_client.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <set>

#include "base/check.h"
#include "base/config.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "base/promise.h"
#include "base/task_group.h"
#include "base/wait.h"
#include "maps/mon_map.h"
#include "msg/auth_messages.h"
#include "msg/cephx_client.h"

namespace spirula::maps {

using namespace std::chrono_literals;
using msg::ConnectionRef;
using msg::EntityType;
using msg::Message;

namespace {

constexpr Duration tick = 1s;            // how often tickets and silence are looked at
constexpr Duration pause_first = 100ms;  // between rounds over all monitors, doubling
constexpr Duration pause_max = 3s;
constexpr Duration session_settles = 10s;  // one that lasts so long ends a series of failures

}  // namespace

struct MonClient::Impl {
  Impl(Shard& s, MonClientOptions o) : shard(s), options(std::move(o)), tasks(s) {
    for (const Endpoint& each : options.monitors)
      candidates.push_back(msg::AddressVector(msg::Address::msgr2(each, 0)));
  }

  Shard& shard;
  MonClientOptions options;
  TaskGroup tasks;
  msg::Messenger* messenger = nullptr;
  bool stopping = false;

  // The session: a connection being made or standing.
  ConnectionRef session;
  bool standing = false;
  MonotonicTime began, stood, last_heard;
  bool probed = false;
  std::vector<msg::AddressVector> candidates;
  std::size_t next_candidate = 0, failures = 0;
  Clock::TimerId hunt_timer = 0;
  std::error_code refusal;
  std::optional<MonMap> monmap;
  std::uint64_t global_id = 0;
  bool renewing = false;
  WaitList ready_waiters;

  std::map<std::uint16_t, std::vector<std::function<Result<>(const Message&)>>> handlers;
  std::vector<std::function<void()>> session_handlers;
  std::vector<std::function<void(const msg::RotatingSecrets&)>> rotating_handlers;

  std::map<std::string, msg::SubscribeItem> subscriptions;
  std::set<std::string> unsent;  // subscriptions the standing session has not seen
  bool flush_posted = false;

  struct Pending {
    Message request;
    std::uint16_t reply_type;
    Promise<Message> answer;
  };
  std::map<std::uint64_t, Pending> pending;
  std::uint64_t last_tid = 0;

  std::deque<msg::LogEntry> log_lines;
  std::uint64_t log_sequence = 0, log_sent = 0;

  bool ready() const { return standing && monmap; }

  // --- the session
  // ----------------------------------------------------------------------------------------------------

  void hunt() {
    shard.clock().cancel(hunt_timer);
    if (stopping || session || candidates.empty()) return;
    if (next_candidate % candidates.size() == 0) {  // a new round, in a new order, so that clients spread
      for (std::size_t i = candidates.size(); i > 1; --i)
        std::swap(candidates[i - 1], candidates[shard.random().below(i)]);
    }
    const msg::AddressVector& to = candidates[next_candidate++ % candidates.size()];
    log_debug("monc", "trying {}", to.describe());
    began = shard.clock().now();
    session = messenger->connect(shard, EntityType::mon, to);
  }

  /// Lets go of the session, if there is one, and looks for another monitor.
  void drop_session(std::string_view why) {
    if (session) {
      if (standing && !stopping) log_info("monc", "lost {}: {}", session->describe(), why);
      ConnectionRef old = std::exchange(session, nullptr);
      old->close();
    }
    if (standing && shard.clock().now() - stood >= session_settles) failures = 0;
    standing = false;
    renewing = false;
    if (stopping) return;
    ++failures;
    shard.clock().cancel(hunt_timer);
    hunt_timer = shard.clock().call_after(pause(), [this] { hunt(); });
  }

  /// Before the next monitor is tried: none until everybody has had a chance, then longer from round to round. Half of
  /// it is left to chance, so that clients that lost a monitor together do not come back together.
  Duration pause() {
    if (failures <= candidates.size()) return {};
    auto rounds = std::min<std::size_t>((failures - 1) / std::max<std::size_t>(candidates.size(), 1), 6);
    Duration longest = std::min<Duration>(pause_first * (1 << (rounds - 1)), pause_max);
    return longest / 2 + Duration(shard.random().below(static_cast<std::uint64_t>(longest.count() / 2)));
  }

  void session_stands() {
    standing = true;
    refusal = {};
    stood = last_heard = shard.clock().now();
    probed = false;
    renewing = false;
    global_id = session->identity().global_id;
    if (options.cephx) global_id = options.cephx->global_id();
    log_debug("monc", "session with {}, we are {}", session->describe(), global_id);
    if (options.name.type == static_cast<std::uint32_t>(EntityType::client))
      messenger->set_name({EntityType::client, static_cast<std::int64_t>(global_id)});
    renew();
    for (const auto& [what, item] : subscriptions) unsent.insert(what);
    flush_subscriptions();
    for (auto& [tid, each] : pending) session->send(each.request);
    log_sent = 0;
    flush_log();
    for (auto& handler : session_handlers) handler();
    if (ready()) ready_waiters.wake_all();
  }

  void every_tick() {
    MonotonicTime now = shard.clock().now();
    if (session && !standing && now - began > options.hunt_interval) return drop_session("no answer");
    if (!standing) return;
    if (now - last_heard > options.silence_max) return drop_session("silence");
    if (now - last_heard > options.silence_max / 3 && !probed) {
      probed = true;  // anything that must be answered
      session->send(msg::make_message(msg::MonGetVersion{0, "monmap"}));
    }
    renew();
  }

  Task<> run() {
    while (!stopping) {
      if (!co_await shard.clock().sleep(tick)) co_return;
      every_tick();
    }
  }

  // --- tickets
  // --------------------------------------------------------------------------------------------------------

  void renew() {
    if (!options.cephx || !standing || renewing || !options.cephx->needs_renewal()) return;
    auto payload = options.cephx->renewal_request();
    if (!payload) return;
    msg::Auth request;
    request.payload = *payload;
    request.monmap_epoch = monmap ? monmap->epoch.value : 0;
    renewing = true;
    session->send(msg::make_message(request));
  }

  void take_auth_reply(const Message& message) {
    renewing = false;
    auto reply = msg::read_message<msg::AuthReply>(message);
    if (!options.cephx) return;
    Result<> taken = reply ? options.cephx->handle_reply(reply->result, reply->payload) : Result<>(reply.error());
    if (!taken) {
      log_warning("monc", "renewing our tickets failed: {}", taken.error().message());
      return drop_session("tickets refused");
    }
    if (auto secrets = options.cephx->take_rotating_secrets())
      for (auto& handler : rotating_handlers) handler(*secrets);
    renew();
  }

  // --- what is repeated on every session
  // ------------------------------------------------------------------------------

  void flush_subscriptions() {
    flush_posted = false;
    if (!standing || unsent.empty()) return;
    msg::MonSubscribe message;
    message.hostname = options.hostname;
    for (const std::string& what : unsent)
      if (auto at = subscriptions.find(what); at != subscriptions.end()) message.what.insert(*at);
    unsent.clear();
    if (!message.what.empty()) session->send(msg::make_message(message));
  }

  void flush_log() {
    if (!standing || !monmap || log_lines.empty() || log_lines.back().sequence <= log_sent) return;
    msg::Log message;
    message.fsid = monmap->fsid;
    for (const msg::LogEntry& line : log_lines)
      if (line.sequence > log_sent) message.entries.push_back(line);
    log_sent = log_lines.back().sequence;
    session->send(msg::make_message(message));
  }

  // --- what comes
  // -----------------------------------------------------------------------------------------------------

  void take_monmap(const Message& message) {
    auto body = msg::read_message<msg::MonMapMessage>(message);
    auto map = body ? decode<MonMap>(body->monmap) : Result<MonMap>(body.error());
    if (!map) return log_warning("monc", "a monmap that is none: {}", map.error().message());
    if (monmap && map->fsid != monmap->fsid)
      return log_error("monc", "{} serves another cluster, {}", session->describe(), map->fsid.describe());
    if (monmap && map->epoch < monmap->epoch) return;
    bool first = !monmap;
    monmap = std::move(*map);
    std::vector<msg::AddressVector> known;
    for (const auto& [name, monitor] : monmap->monitors)
      if (auto address = monitor.addresses.msgr2(); address.has_endpoint) known.push_back(monitor.addresses);
    if (!known.empty()) candidates = std::move(known);
    if (first) {
      flush_log();
      if (ready()) ready_waiters.wake_all();
    }
  }

  void take_log_ack(const Message& message) {
    auto ack = msg::read_message<msg::LogAck>(message);
    if (!ack) return;
    while (!log_lines.empty() && log_lines.front().sequence <= ack->last) log_lines.pop_front();
  }

  /// Hands a reply to whoever waits for it.
  bool take_reply(Message& message) {
    std::uint64_t tid = message.tid;
    if (message.type == msg::MonGetVersionReply::message_type) {
      auto reply = msg::read_message<msg::MonGetVersionReply>(message);
      if (!reply) return false;
      tid = reply->handle;
    }
    auto at = pending.find(tid);
    if (at == pending.end() || at->second.reply_type != message.type) return false;
    at->second.answer.set(std::move(message));
    return true;
  }
};

MonClient::MonClient(Shard& shard, MonClientOptions options)
    : impl_(std::make_unique<Impl>(shard, std::move(options))) {}
MonClient::~MonClient() {
  CHECK(!impl_->session, "stop() first");
}

void MonClient::start(msg::Messenger& messenger) {
  impl_->messenger = &messenger;
  subscribe("monmap", 0);
  if (impl_->options.config) {
    subscribe("config", 0);
    on<msg::ConfigMessage>(
        [config = impl_->options.config](msg::ConfigMessage message) { config->set_from_monitor(message.options); });
  }
  impl_->tasks.spawn(impl_->run());
  impl_->hunt();
}

Task<> MonClient::stop() {
  impl_->stopping = true;
  impl_->shard.clock().cancel(impl_->hunt_timer);
  impl_->drop_session("stopping");
  for (auto& [tid, each] : impl_->pending) each.answer.set(Errc::cancelled);
  impl_->ready_waiters.wake_all();
  co_await impl_->tasks.stop();
}

Task<Result<>> MonClient::wait_until_ready(Duration timeout) {
  MonotonicTime deadline = impl_->shard.clock().now() + timeout;
  while (!impl_->ready()) {
    if (impl_->stopping) co_return Errc::cancelled;
    if (impl_->refusal) co_return impl_->refusal;
    CO_TRY(co_await impl_->ready_waiters.wait_until(impl_->shard.clock(), deadline));
  }
  co_return Result<>{};
}

bool MonClient::is_ready() const {
  return impl_->ready();
}
msg::Uuid MonClient::fsid() const {
  return impl_->monmap ? impl_->monmap->fsid : msg::Uuid{};
}
std::uint64_t MonClient::global_id() const {
  return impl_->global_id;
}
msg::Address MonClient::monitor() const {
  return impl_->standing ? impl_->session->peer_address().msgr2() : msg::Address{};
}

void MonClient::on_raw(std::uint16_t type, std::function<Result<>(const Message&)> handler) {
  impl_->handlers[type].push_back(std::move(handler));
}
void MonClient::on_session(std::function<void()> handler) {
  impl_->session_handlers.push_back(std::move(handler));
}
void MonClient::on_rotating_secrets(std::function<void(const msg::RotatingSecrets&)> handler) {
  impl_->rotating_handlers.push_back(std::move(handler));
}

void MonClient::subscribe(const std::string& what, std::uint64_t start, bool once) {
  impl_->subscriptions[what] = {start, once ? msg::SubscribeItem::flag_onetime : std::uint8_t{0}};
  impl_->unsent.insert(what);
  if (!impl_->standing || impl_->flush_posted) return;
  impl_->flush_posted = true;  // later, so that what is asked together goes together
  impl_->tasks.spawn([](Impl& impl) -> Task<> {
    impl.flush_subscriptions();
    co_return;
  }(*impl_));
}

void MonClient::unsubscribe(const std::string& what) {
  impl_->subscriptions.erase(what);
  impl_->unsent.erase(what);
}

void MonClient::got(const std::string& what, std::uint64_t version) {
  auto at = impl_->subscriptions.find(what);
  if (at == impl_->subscriptions.end() || version < at->second.start) return;
  if (at->second.flags & msg::SubscribeItem::flag_onetime)
    impl_->subscriptions.erase(at);
  else
    at->second.start = version + 1;
}

Task<Result<msg::CommandReply>> MonClient::command(std::string json, Buffer input, Duration timeout) {
  if (timeout == Duration{}) timeout = impl_->options.request_timeout;
  MonotonicTime deadline = impl_->shard.clock().now() + timeout;
  CO_TRY(co_await wait_until_ready(timeout));
  msg::MonCommand request;
  request.fsid = fsid();
  request.command.push_back(std::move(json));
  request.data = BufferList(std::move(input));
  Message message = msg::make_message(request);
  Duration left = std::max<Duration>(deadline - impl_->shard.clock().now(), 1ms);
  CO_TRY(Message answer, co_await exchange(std::move(message), msg::MonCommandAck::message_type, left));
  CO_TRY(auto ack, msg::read_message<msg::MonCommandAck>(answer));
  co_return msg::CommandReply{ack.result, std::move(ack.text), std::move(ack.data)};
}

Task<Result<msg::MonGetVersionReply>> MonClient::get_version(std::string what) {
  Message request = msg::make_message(msg::MonGetVersion{impl_->last_tid + 1, std::move(what)});
  CO_TRY(Message answer, co_await exchange(std::move(request), msg::MonGetVersionReply::message_type));
  co_return msg::read_message<msg::MonGetVersionReply>(answer);
}

Task<Result<Message>> MonClient::exchange(Message request, std::uint16_t reply_type, Duration timeout) {
  if (impl_->stopping) co_return Errc::cancelled;
  if (impl_->pending.size() >= limits::mon_requests_max) co_return Errc::busy;
  if (timeout == Duration{}) timeout = impl_->options.request_timeout;
  std::uint64_t tid = ++impl_->last_tid;
  request.tid = tid;
  Promise<Message> answer;
  if (impl_->standing) impl_->session->send(request);
  impl_->pending.emplace(tid, Impl::Pending{std::move(request), reply_type, answer});
  auto got = co_await answer.get_until(impl_->shard.clock(), impl_->shard.clock().now() + timeout);
  impl_->pending.erase(tid);
  co_return got;
}

void MonClient::send_message(Message message) {
  if (impl_->standing) impl_->session->send(std::move(message));
}

void MonClient::log(msg::LogPriority priority, std::string text, std::string channel) {
  msg::LogEntry line;
  line.name = impl_->options.name;
  line.rank = {static_cast<EntityType>(impl_->options.name.type), static_cast<std::int64_t>(impl_->global_id)};
  if (impl_->messenger) line.address = impl_->messenger->address();
  line.stamp = msg::Time::from(impl_->shard.clock().wall());
  line.sequence = ++impl_->log_sequence;
  line.priority = priority;
  line.text = std::move(text);
  line.channel = std::move(channel);
  impl_->log_lines.push_back(std::move(line));
  if (impl_->log_lines.size() > limits::log_lines_unsent_max) impl_->log_lines.pop_front();
  impl_->flush_log();
}

void MonClient::on_message(ConnectionRef connection, Message message) {
  if (connection != impl_->session) return;
  impl_->last_heard = impl_->shard.clock().now();
  impl_->probed = false;
  if (impl_->take_reply(message)) return;
  switch (message.type) {
    case msg::AuthReply::message_type:
      return impl_->take_auth_reply(message);
    case msg::LogAck::message_type:
      return impl_->take_log_ack(message);
    case msg::MonMapMessage::message_type:
      impl_->take_monmap(message);
      if (impl_->monmap) got("monmap", impl_->monmap->epoch.value);
      break;
    default:
      break;
  }
  auto at = impl_->handlers.find(message.type);
  if (at == impl_->handlers.end()) return;
  for (auto& handler : at->second)
    if (Result<> done = handler(message); !done)
      log_warning("monc", "message {} from the monitor: {}", message.type, done.error().message());
}

void MonClient::on_connect(ConnectionRef connection) {
  if (connection == impl_->session) impl_->session_stands();
}

void MonClient::on_reset(ConnectionRef connection) {
  if (connection == impl_->session) impl_->drop_session("reset");
}

void MonClient::on_connect_failed(ConnectionRef connection, std::error_code why) {
  if (connection != impl_->session) return;
  log_debug("monc", "{}: {}", connection->peer_address().describe(), why.message());
  if (why == make_error_code(Errc::access)) {
    impl_->refusal = why;
    impl_->ready_waiters.wake_all();
  }
  impl_->drop_session(why.message());
}

}  // namespace spirula::maps
