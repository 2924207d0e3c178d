#include <fmt/format.h>

#include <cerrno>
#include <charconv>

#include "base/config.h"
#include "base/log.h"
#include "mon/config_location.h"
#include "mon/monitor.h"
#include "mon/osd_edit.h"
#include "msg/pool_stats.h"

/// What arrives at the monitor, and its answers.
namespace spirula::mon {
namespace {

constexpr unsigned read_access = msg::MonCaps::read, write_access = msg::MonCaps::write;

bool is_osd(const Session& session, std::int32_t id) {
  return session.is(msg::EntityType::osd) && session.name().id == std::to_string(id);
}

unsigned access_bits(std::string_view letters) {
  unsigned bits = 0;
  for (char c : letters)
    bits |= c == 'r' ? msg::MonCaps::read : c == 'w' ? msg::MonCaps::write : c == 'x' ? msg::MonCaps::execute : 0u;
  return bits;
}

std::uint64_t kibibytes(std::uint64_t bytes) {
  return bytes / 1024;
}

}  // namespace

template <class Body, class Action>
void Monitor::with(const SessionRef& session, const msg::Message& message, Action action) {
  auto body = msg::read_message<Body>(message, session->connection->peer_features());
  if (body) return action(*body);
  log_warning("mon", "{}: message {} does not decode: {}", session->connection->describe(), message.type,
              body.error().message());
  auto connection = session->connection;
  on_reset(connection);
  connection->close();
}

void Monitor::on_message(msg::ConnectionRef connection, msg::Message message) {
  auto session = SessionList::of(connection);
  if (!session) return;
  messages_.add();
  dispatch(session, message);
}

void Monitor::dispatch(const SessionRef& session, const msg::Message& message) {
  using namespace msg;
  switch (message.type) {
    case MonGetMap::message_type:
      return Publisher::send_monmap(*session, state());
    case MonSubscribe::message_type:
      return with<MonSubscribe>(session, message,
                                [&](const auto& body) { publisher_.subscribe(*session, body, state()); });
    case MonGetVersion::message_type:
      return with<MonGetVersion>(session, message, [&](const auto& body) { handle(session, body); });
    case MonGetOsdMap::message_type:
      return with<MonGetOsdMap>(session, message, [&](const auto& body) { handle(session, body); });
    case MonCommand::message_type:
      return with<MonCommand>(session, message, [&](const auto& body) { handle(session, body, message.tid); });
    case Command::message_type:
      return with<Command>(session, message, [&](const auto& body) { handle(session, body, message.tid); });
    case PoolOp::message_type:
      return with<PoolOp>(session, message, [&](const auto& body) { handle(session, body, message.tid); });
    case Log::message_type:
      return with<Log>(session, message, [&](const auto& body) { handle(session, body); });
    case Auth::message_type:
      return with<Auth>(session, message, [&](const auto& body) { handle(session, body, message.tid); });
    case Statfs::message_type:
      return with<Statfs>(session, message, [&](const auto& body) { handle(session, body, message.tid); });
    case GetPoolStats::message_type:
      return handle_pool_stats(session, message);
    case GetConfig::message_type:
      return with<GetConfig>(session, message, [&](const GetConfig& body) {
        session->send(ConfigMessage{config_for(state(), body.name.describe(), body.host)}, message.tid);
      });
    default:
      if (dispatch_daemon(session, message)) return;
      log_warning("mon", "{}: message type {:#x} is not understood", session->connection->describe(), message.type);
  }
}

bool Monitor::dispatch_daemon(const SessionRef& session, const msg::Message& message) {
  using namespace msg;
  auto refuse = [&] {
    log_warning("mon", "{}: message {:#x} is not theirs to send", session->connection->describe(), message.type);
  };
  bool osd_allowed = session->allows("osd", write_access), mds_allowed = session->allows("mds", write_access);
  auto from_osd = [&]<class Body>(std::type_identity<Body>, auto osd, auto action) {
    with<Body>(session, message, [&](const Body& body) {
      if (!osd_allowed || !is_osd(*session, body.*osd)) return refuse();
      action(body);
    });
    return true;
  };
  switch (message.type) {
    case OsdBoot::message_type:
      return from_osd(std::type_identity<OsdBoot>{}, &OsdBoot::osd, [&](auto& body) { osds_.take(session, body); });
    case OsdBeacon::message_type:
      return from_osd(std::type_identity<OsdBeacon>{}, &OsdBeacon::osd, [&](auto& body) { osds_.take(session, body); });
    case OsdFailure::message_type:
      return from_osd(std::type_identity<OsdFailure>{}, &OsdFailure::reporter,
                      [&](auto& body) { osds_.take(session, body); });
    case OsdMarkMeDown::message_type:
      return from_osd(std::type_identity<OsdMarkMeDown>{}, &OsdMarkMeDown::osd,
                      [&](auto& body) { osds_.take(session, body, message.tid); });
    case OsdAlive::message_type:
      return from_osd(std::type_identity<OsdAlive>{}, &OsdAlive::osd, [&](auto& body) { osds_.take(body); });
    case OsdPgTemp::message_type:
      return from_osd(std::type_identity<OsdPgTemp>{}, &OsdPgTemp::osd, [&](auto& body) { osds_.take(body); });
    case MdsBeacon::message_type:
      with<MdsBeacon>(session, message, [&](const MdsBeacon& body) {
        bool theirs = session->is(EntityType::mds) && session->name().id == body.name &&
                      session->connection->identity().global_id == body.gid;
        if (!mds_allowed || !theirs || body.cluster != state().osd().map().fsid) return refuse();
        mdss_.take(session, body);
      });
      return true;
    case BlocklistRequest::message_type:
      with<BlocklistRequest>(session, message, [&](const auto& body) { handle(session, body, message.tid); });
      return true;
    case RemoveSnaps::message_type:
      with<RemoveSnaps>(session, message, [&](const auto& body) { handle(session, body, message.tid); });
      return true;
    default:
      return false;
  }
}

void Monitor::handle(const SessionRef& session, const msg::MonGetVersion& request) {
  msg::MonGetVersionReply reply;
  reply.handle = request.handle;
  const auto& now = state();
  if (request.what == "osdmap") {
    reply.newest = now.osd().epoch().value;
    reply.oldest = now.osd().first().value;
  } else if (request.what == "mdsmap" || request.what == "fsmap") {
    reply.newest = now.fs().map().epoch.value;
    reply.oldest = reply.newest;
  } else if (request.what == "monmap") {
    reply.newest = now.mon().map().epoch.value;
    reply.oldest = reply.newest;
  }
  session->send(reply);
}

void Monitor::handle(const SessionRef& session, const msg::MonGetOsdMap& request) {
  if (!session->allows("osd", read_access)) return;
  constexpr std::uint32_t maps_max = 40;
  const auto& osd = state().osd();
  msg::OsdMapMessage reply{osd.map().fsid, {}, {}, osd.first(), osd.epoch(), {}};
  for (auto e = request.incremental_first; e.value && e <= request.incremental_last; ++e) {
    auto found = osd.incrementals().find(e);
    if (reply.incrementals.size() >= maps_max) break;
    if (found != osd.incrementals().end()) reply.incrementals[e] = found->second.incremental;
    if (e >= osd.epoch()) break;
  }
  for (auto e = request.full_first; e.value && e <= request.full_last; ++e) {
    if (reply.full.size() + reply.incrementals.size() >= maps_max || e > osd.epoch()) break;
    if (auto full = osd.full(e)) reply.full[e] = *full;
  }
  session->send(reply);
}

void Monitor::handle(const SessionRef& session, const msg::MonCommand& request, std::uint64_t tid) {
  msg::MonCommandAck ack;
  ack.command = request.command;
  auto reply = [this, session, ack, tid](CommandResult result) mutable {
    ack.paxos.version = state().osd().epoch().value;
    ack.result = result.result;
    ack.text = std::move(result.text);
    ack.data = BufferList(Buffer::copy_of(result.output));
    session->send(ack, tid);
  };
  if (!request.fsid.is_zero() && request.fsid != state().osd().map().fsid)
    return reply(CommandResult::fail(-EPERM, "wrong fsid"));
  std::string json;
  for (const auto& word : request.command) json += word;
  ParsedCommand command;
  CommandTable::Problem problem;
  if (!all_commands().parse(json, command, problem)) {
    log_warning("mon", "{} ({}): {}", session->connection->describe(), session->name().describe(), problem.text);
    return reply(CommandResult::fail(problem.result, problem.text));
  }
  if (!command.row) return reply(CommandResult::print(all_commands().descriptions()));
  if (!session->allows(command.row->module, access_bits(command.row->permission), command.prefix,
                       command.arguments.all())) {
    log_warning("mon", "{} ({}) may not run '{}'", session->connection->describe(), session->name().describe(),
                command.prefix);
    return reply(CommandResult::fail(-EACCES, "access denied"));
  }
  execute(std::move(command), json, request.data.flatten().to_string(), session->name().describe(), std::move(reply));
}

void Monitor::handle(const SessionRef& session, const msg::Command& request, std::uint64_t tid) {
  auto reply = [session, tid](CommandResult result) {
    msg::CommandReply message;
    message.result = result.result;
    message.text = std::move(result.text);
    message.data = BufferList(Buffer::copy_of(result.output));
    session->send(message, tid);
  };
  if (!session->caps.allows_all()) return reply(CommandResult::fail(-EACCES, "access denied"));
  std::string json;
  for (const auto& word : request.command) json += word;
  ParsedCommand command;
  CommandTable::Problem problem;
  if (!tell_commands().parse(json, command, problem)) return reply(CommandResult::fail(problem.result, problem.text));
  if (!command.row) return reply(CommandResult::print(tell_commands().descriptions()));
  execute(std::move(command), json, request.data.flatten().to_string(), session->name().describe(), std::move(reply));
}

void Monitor::handle(const SessionRef& session, const msg::PoolOp& request, std::uint64_t tid) {
  auto response = std::make_shared<msg::PoolOpReply>();
  response->fsid = state().osd().map().fsid;
  auto reply = [this, session, response, tid](Result<> result) {
    if (!result) response->result = to_wire(result.error());
    response->epoch = state().osd().epoch();
    response->paxos.version = response->epoch.value;
    session->send(*response, tid);
  };
  bool snapshot_op =
      request.kind == msg::PoolOpKind::create_unmanaged_snap || request.kind == msg::PoolOpKind::delete_unmanaged_snap;
  // Ceph lets whoever may write to a pool number snapshots there; the OSDs check the writing itself.
  unsigned need = snapshot_op ? read_access : write_access;
  if (!session->allows("osd", need)) return reply(Errc::permission);
  decider_->submit(
      [this, request, response](Draft& draft) -> Result<> {
        using enum msg::PoolOpKind;
        std::int64_t pool = request.pool;
        Result<> done;
        switch (request.kind) {
          case create: {
            PoolSpec spec;
            spec.name = request.name;
            if (request.crush_rule >= 0) spec.rule = draft->osd().map().crush->rule_name(request.crush_rule);
            if (draft->osd().map().pool_by_name(spec.name)) return Errc::exists;
            std::string problem;
            auto made = create_pool(draft, spec, osd_policy(config_), wall(), problem);
            return made ? Result<>() : Result<>(made.error());
          }
          case remove: {
            const auto* found = draft->osd().map().pool(pool);
            if (!found) return Errc::not_found;
            if (!config_.flag("mon_allow_pool_delete") || found->has(maps::Pool::no_delete)) return Errc::permission;
            for (const auto& fs : draft->fs().map().file_systems)
              if (fs.mds_map.metadata_pool == pool || std::ranges::count(fs.mds_map.data_pools, pool))
                return Errc::busy;
            return delete_pool(draft, pool, wall());
          }
          case create_snap:
            done = create_pool_snapshot(draft, pool, request.name, wall());
            return !done && done.error() == Errc::exists ? Result<>() : done;
          case delete_snap:
            done = remove_pool_snapshot(draft, pool, request.name, wall());
            return !done && done.error() == Errc::not_found && draft->osd().map().pool(pool) ? Result<>() : done;
          case create_unmanaged_snap: {
            auto snap = create_self_managed_snapshot(draft, pool, wall());
            if (!snap) return snap.error();
            response->response = encode(*snap);
            return {};
          }
          case delete_unmanaged_snap:
            if (!draft->osd().map().pool(pool)) return Errc::not_found;
            return remove_self_managed_snapshots(draft, {{pool, {request.snap}}}, wall());
          default:
            return Errc::unsupported;
        }
      },
      reply);
}

void Monitor::handle(const SessionRef& session, const msg::Log& request) {
  if (request.entries.empty() || !session->allows("log", write_access)) return;
  LogService::Change change;
  for (auto entry : request.entries) {
    entry.name = session->name();  // nobody speaks for others
    change.entries.push_back(std::move(entry));
  }
  msg::LogAck ack;
  ack.fsid = state().osd().map().fsid;
  ack.last = request.entries.back().sequence;
  ack.channel = request.entries.back().channel;
  decider_->submit([change](Draft& draft) { return draft.change<LogService>(change); },
                   [session, ack](Result<> result) {
                     if (result) session->send(ack);
                   });
}

void Monitor::handle(const SessionRef& session, const msg::Auth& request, std::uint64_t tid) {
  msg::AuthReply reply;
  reply.protocol = request.protocol;
  reply.global_id = session->connection->identity().global_id;
  auto* login = session->connection->auth_session();
  auto answer = login ? login->handle(request.payload) : Result<Buffer>(Errc::unsupported);
  if (answer)
    reply.payload = *answer;
  else
    reply.result = to_wire(answer.error());
  if (!answer)
    log_warning("mon", "{} ({}): its tickets are not renewed: {}", session->connection->describe(),
                session->name().describe(), answer.error().message());
  session->send(reply, tid);
}

void Monitor::handle(const SessionRef& session, const msg::Statfs& request, std::uint64_t tid) {
  const auto& map = state().osd().map();
  msg::StatfsReply reply;
  reply.fsid = map.fsid;
  reply.map_version = stats_.version();
  auto summary = stats_.summarize(map);
  const auto* pool = request.data_pool ? map.pool(*request.data_pool) : nullptr;
  if (pool) {
    // Of one pool: what it holds and what it can still take (Ceph: PGMapDigest::get_statfs).
    const auto& usage = summary.pools[*request.data_pool];
    std::uint64_t available = stats_.available_to(*pool, map);
    reply.used_kib = kibibytes(usage.sum.bytes);
    reply.available_kib = kibibytes(available);
    reply.total_kib = reply.used_kib + reply.available_kib;
    reply.objects = usage.sum.objects;
  } else {
    reply.total_kib = kibibytes(summary.space.total);
    reply.available_kib = kibibytes(summary.space.available);
    reply.used_kib = reply.total_kib - reply.available_kib;
    reply.objects = summary.all.sum.objects;
  }
  session->send(reply, tid);
}

void Monitor::handle_pool_stats(const SessionRef& session, const msg::Message& message) {
  with<msg::GetPoolStats>(session, message, [&](const msg::GetPoolStats& request) {
    if (!session->allows("pg", read_access)) return;
    const auto& map = state().osd().map();
    auto summary = stats_.summarize(map);
    msg::GetPoolStatsReply reply;
    reply.fsid = map.fsid;
    reply.per_pool = true;
    for (const auto& name : request.pools) {
      auto id = map.pool_by_name(name);
      if (!id) continue;
      const auto& usage = summary.pools[*id];
      const auto& pool = *map.pool(*id);
      auto& stats = reply.pools[name];
      auto& sum = stats.stats.sum;
      auto whole = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
      sum.bytes = whole(usage.sum.bytes);
      sum.objects = whole(usage.sum.objects);
      sum.clones = whole(usage.sum.clones);
      sum.copies = whole(usage.sum.objects * pool.size);
      sum.missing_on_primary = whole(usage.sum.missing_on_primary);
      sum.degraded = whole(usage.sum.degraded);
      sum.unfound = whole(usage.sum.unfound);
      sum.misplaced = whole(usage.sum.misplaced);
      sum.reads = whole(usage.sum.reads);
      sum.read_kib = whole(kibibytes(usage.sum.read_bytes));
      sum.writes = whole(usage.sum.writes);
      sum.write_kib = whole(kibibytes(usage.sum.written_bytes));
      sum.omap_bytes = whole(usage.sum.omap_bytes);
      sum.omap_keys = whole(usage.sum.omap_keys);
      stats.log_size = stats.ondisk_log_size = whole(usage.log_entries);
      stats.store.allocated = stats.store.data_stored = whole(usage.sum.bytes * pool.size);
      stats.stores = static_cast<std::uint32_t>(map.count_in());
    }
    session->send(reply, message.tid);
  });
}

void Monitor::handle(const SessionRef& session, const msg::BlocklistRequest& request, std::uint64_t tid) {
  auto reply = [this, session, tid](Result<> result) {
    msg::DaemonReply answer;
    if (!result) answer.result = to_wire(result.error());
    answer.epoch = state().osd().epoch();
    session->send(answer, tid);
  };
  if (!session->allows("osd", write_access)) return reply(Errc::access);
  double seconds = request.seconds
                       ? static_cast<double>(request.seconds)
                       : std::chrono::duration<double>(config_.duration("mon_osd_blocklist_default_expire")).count();
  decider_->submit(
      [this, request, seconds](Draft& draft) -> Result<> {
        if (!request.remove)
          return add_to_blocklist(draft, request.addresses.addresses, later(wall(), seconds), wall());
        auto removed = remove_from_blocklist(draft, request.addresses.addresses, wall());
        return removed || removed.error() == Errc::not_found ? Result<>() : removed;
      },
      reply);
}

void Monitor::handle(const SessionRef& session, const msg::RemoveSnaps& request, std::uint64_t tid) {
  auto reply = [this, session, tid](Result<> result) {
    msg::DaemonReply answer;
    if (!result) answer.result = to_wire(result.error());
    answer.epoch = state().osd().epoch();
    session->send(answer, tid);
  };
  bool allowed = session->allows("osd", read_access | write_access) ||
                 (session->is(msg::EntityType::mds) && session->allows("mds", write_access));
  if (!allowed) return reply(Errc::access);
  decider_->submit(
      [this, request](Draft& draft) { return remove_self_managed_snapshots(draft, request.snaps, wall()); }, reply);
}

}  // namespace spirula::mon
