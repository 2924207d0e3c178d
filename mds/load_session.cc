#include "mds/load_session.h"

#include "base/check.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "maps/daemon_link.h"

namespace spirula::mds {

using msg::ClientCaps;
using msg::ClientReply;
using msg::ClientSession;
using msg::EntityType;

namespace {
constexpr std::size_t releases_per_message = 64;
constexpr Duration renew_interval = std::chrono::seconds(15);  // a third of what makes a session stale, at most
}  // namespace

Task<Result<msg::AddressVector>> LoadSession::find_mds() {
  maps::MonClient& monitors = cluster_->monitors();
  monitors.on<msg::FsMapMessage>([this](msg::FsMapMessage message) {
    auto map = decode<maps::FsMap>(message.map);
    if (!map) return log_warning("mds", "a file system map that does not decode");
    map_ = *std::move(map);
    map_came_.set();
  });
  monitors.subscribe("fsmap", 0);
  const MonotonicTime deadline = shard_.clock().now() + timeout_;
  for (;;) {
    CO_TRY(co_await map_came_.wait_until(shard_.clock(), deadline));
    for (const auto& file_system : map_->file_systems)
      for (const auto& [gid, info] : file_system.mds_map.daemons)
        if (info.rank == 0 && info.state == msg::MdsState::active) co_return info.addresses;
    map_came_.reset();
  }
}

Task<Result<std::unique_ptr<LoadSession>>> LoadSession::open(Shard& shard, Config& config, Duration timeout) {
  std::unique_ptr<LoadSession> session(new LoadSession(shard, timeout));
  CO_TRY(session->cluster_, co_await librados::Cluster::connect(shard, config, timeout));
  session->cluster_->route(EntityType::mds, *session);
  auto address = co_await session->find_mds();
  if (!address) {
    co_await session->close();
    co_return address.error();
  }
  session->connection_ = session->cluster_->messenger().connect(shard, EntityType::mds, *address);
  session->send_session(ClientSession::Op::request_open);
  Result<> opened = co_await session->opened_.wait_until(shard.clock(), shard.clock().now() + timeout);
  if (!opened || session->broken_) {
    const std::error_code why = session->broken_ ? session->broken_ : opened.error();
    co_await session->close();
    co_return why;
  }
  session->renewed_ = shard.clock().now();
  co_return session;
}

LoadSession::~LoadSession() {
  CHECK(!cluster_, "close() first");
}

Task<> LoadSession::close() {
  const MonotonicTime deadline = shard_.clock().now() + timeout_;
  if (opened_.is_set() && !broken_) {
    if (!requests_.empty()) {
      all_safe_.reset();
      send_session(ClientSession::Op::request_flush_journal);
      (void)co_await all_safe_.wait_until(shard_.clock(), deadline);
    }
    send_releases();
    send_session(ClientSession::Op::request_close);
    (void)co_await closed_.wait_until(shard_.clock(), deadline);
  }
  if (connection_) connection_->close();
  if (cluster_) co_await cluster_->stop();
  cluster_.reset();
}

void LoadSession::send_session(ClientSession::Op op) {
  ClientSession body;
  body.op = op;
  body.sequence = pushed_;
  body.stamp = msg::Time::from(shard_.clock().wall());
  body.features.bits = 0xff | 1u << msg::fs_features::mimic | 1u << msg::fs_features::reply_encoding |
                       1u << msg::fs_features::lazy_caps_wanted;
  if (op == ClientSession::Op::request_open) body.metadata = {{"hostname", maps::hostname()}, {"root", "/"}};
  connection_->send(msg::make_message(body));
}

std::uint64_t LoadSession::send(msg::ClientRequest request, Call* call) {
  const std::uint64_t tid = ++last_tid_;
  requests_.emplace_hint(requests_.end(), tid, Request{false, call});
  request.oldest_tid = requests_.begin()->first;
  request.mdsmap_epoch = map_->epoch;
  request.stamp = msg::Time::from(shard_.clock().wall());
  const MonotonicTime now = shard_.clock().now();
  if (now - renewed_ > renew_interval) {
    renewed_ = now;
    send_session(ClientSession::Op::request_renew_caps);
  }
  connection_->send(msg::make_message(request, tid));
  return tid;
}

Task<Result<LoadSession::Answer>> LoadSession::call(msg::ClientRequest request) {
  if (broken_) co_return broken_;
  Call call;
  const std::uint64_t tid = send(std::move(request), &call);
  Result<> answered = co_await call.done.wait_until(shard_.clock(), shard_.clock().now() + timeout_);
  if (auto it = requests_.find(tid); it != requests_.end()) it->second = {true, nullptr};
  if (broken_) co_return broken_;
  CO_TRY(answered);
  co_return call.answer;
}

Task<Result<std::uint64_t>> LoadSession::keep_busy(std::size_t depth, Source next) {
  if (broken_) co_return broken_;
  Run run{.next = std::move(next)};
  run_ = &run;
  for (std::size_t i = 0; i < depth; ++i) start_next();
  while (run.under_way && !broken_) {
    const std::uint64_t before = run.answered;
    Result<> waited = co_await run.over.wait_until(shard_.clock(), shard_.clock().now() + timeout_);
    if (waited || (waited.error() == Errc::timed_out && run.answered > before)) continue;
    run.problem = waited.error();
    break;
  }
  run_ = nullptr;
  if (broken_) co_return broken_;
  if (run.problem) co_return run.problem;
  co_return run.answered;
}

/// One more of the run, if there is one.
void LoadSession::start_next() {
  if (run_->problem) return;
  std::optional<msg::ClientRequest> request = run_->next();
  if (!request) return;
  ++run_->under_way;
  send(*std::move(request), nullptr);
}

void LoadSession::one_answered(const Answer& answer) {
  --run_->under_way;
  ++run_->answered;
  if (answer.result < 0 && !run_->problem) run_->problem = from_errno(-answer.result);
  start_next();
  if (!run_->under_way) run_->over.set();
}

void LoadSession::take_reply(const msg::Message& message) {
  auto reply = msg::read_message<ClientReply>(message);
  if (!reply) return log_warning("mds", "a reply that does not decode");
  auto found = requests_.find(message.tid);
  if (found == requests_.end()) return;
  const Request request = found->second;
  found->second.answered = true;
  if (reply->safe) {
    requests_.erase(found);
    if (requests_.empty()) all_safe_.set();
  }
  if (request.answered) return;
  Answer answer;
  answer.result = reply->result;
  Decoder trace(reply->trace);
  if (reply->has_dentry) {
    give_back(trace.read<msg::InodeStat>());
    (void)trace.read<msg::DirStat>();
    (void)trace.read<std::string>();
    (void)trace.read<msg::LeaseStat>();
  }
  if (reply->has_target) {
    auto stat = trace.read<msg::InodeStat>();
    answer.ino = stat.ino;
    answer.files = stat.files;
    answer.is_dir = (stat.mode & 0170000) == 0040000;
    give_back(stat);
  }
  if (trace.failed()) log_warning("mds", "the trace of a reply does not decode");
  if (request.call) {
    request.call->answer = answer;
    request.call->done.set();
  } else if (run_) {
    one_answered(answer);
  }
}

/// Directories stay: the next request would be granted them again.
void LoadSession::give_back(const msg::InodeStat& stat) {
  if (!stat.cap.cap_id || (stat.mode & 0170000) == 0040000) return;
  releases_.push_back({stat.ino, stat.cap.cap_id, stat.cap.migrate_sequence, stat.cap.sequence});
  if (releases_.size() >= releases_per_message) send_releases();
}

void LoadSession::send_releases() {
  if (releases_.empty()) return;
  msg::ClientCapRelease body;
  body.items = std::exchange(releases_, {});
  connection_->send(msg::make_message(body));
}

/// Nothing is cached, so whatever is called back can go.
void LoadSession::take_caps(const ClientCaps& caps) {
  if (caps.op != ClientCaps::Op::revoke) return;
  ClientCaps answer = caps;
  answer.op = ClientCaps::Op::update;
  answer.wanted = answer.dirty = 0;
  answer.issue_sequence = caps.issue_sequence;
  answer.snap_trace = {};
  answer.middle = {};
  connection_->send(msg::make_message(answer));
}

void LoadSession::on_message(msg::ConnectionRef, msg::Message message) {
  constexpr std::uint16_t snap_message_type = 0x312;
  if (message.type == ClientCaps::message_type || message.type == msg::ClientLease::message_type ||
      message.type == snap_message_type)
    ++pushed_;
  switch (message.type) {
    case ClientReply::message_type:
      return take_reply(message);
    case ClientCaps::message_type:
      if (auto caps = msg::read_message<ClientCaps>(message)) take_caps(*caps);
      return;
    case ClientSession::message_type: {
      auto body = msg::read_message<ClientSession>(message);
      if (!body) return;
      if (body->op == ClientSession::Op::open) opened_.set();
      if (body->op == ClientSession::Op::stale) send_session(ClientSession::Op::request_renew_caps);
      if (body->op == ClientSession::Op::close) closed_.set();
      if (body->op == ClientSession::Op::reject) {
        broken_ = make_error_code(Errc::access);
        opened_.set();
      }
      return;
    }
    default:
      return;
  }
}

void LoadSession::on_reset(msg::ConnectionRef) {
  if (!broken_) broken_ = make_error_code(Errc::closed);
  opened_.set();
  closed_.set();
  all_safe_.set();
  for (auto& [tid, request] : requests_)
    if (request.call) request.call->done.set();
  if (run_) run_->over.set();
}

}  // namespace spirula::mds
