#include "mon/publisher.h"

#include <charconv>

#include "base/log.h"
#include "mon/config_location.h"

namespace spirula::mon {
namespace {

constexpr std::size_t incrementals_per_message = 40;  // Ceph: osd_map_message_max
constexpr unsigned read_access = msg::MonCaps::read;

struct EmptyMgrMap {
  static constexpr std::uint8_t version = 11, compat = 6;  // Ceph: MgrMap::encode, Pacific
  std::uint32_t epoch = 1;
  msg::AddressVector active_address;
  std::uint64_t active_gid = 0;
  bool available = false;
  std::string active_name;
  std::map<std::uint64_t, std::string> standbys;
  std::set<std::string> modules, old_available_modules;
  std::map<std::string, std::string> services;
  std::vector<std::string> available_modules;
  msg::Time active_change;
  std::map<std::uint32_t, std::set<std::string>> always_on_modules;
  std::uint64_t active_features = 0;
  msg::Epoch last_failure_osd_epoch;
  std::vector<msg::AddressVector> clients;
  static void fields(auto& self, auto& wire) {
    wire(self.epoch);
    wire(self.active_address);
    wire(self.active_gid);
    wire(self.available);
    wire(self.active_name);
    wire(self.standbys);
    wire(self.modules);
    wire(self.old_available_modules);
    wire(self.services);
    wire(self.available_modules);
    wire(self.active_change);
    wire(self.always_on_modules);
    wire(self.active_features);
    wire(self.last_failure_osd_epoch);
    wire(self.clients);
  }
};

}  // namespace

Buffer encode_empty_mgr_map() {
  return encode(EmptyMgrMap{});
}

void Publisher::subscribe(Session& session, const msg::MonSubscribe& request, const State& state) {
  if (!request.hostname.empty()) session.hostname = request.hostname;
  for (const auto& [what, item] : request.what) {
    if (session.subscriptions.size() >= msg::limits::subscriptions_max && !session.subscriptions.contains(what)) {
      log_warning("mon", "{} subscribes to too much", session.connection->describe());
      return;
    }
    session.subscriptions[what] = {item.start, (item.flags & msg::SubscribeItem::flag_onetime) != 0};
    if (what == "config") session.config_sent.reset();  // answered even if nothing changed: clients wait for it
  }
  serve(session, state);
}

void Publisher::serve(Session& session, const State& state) {
  for (auto each = session.subscriptions.begin(); each != session.subscriptions.end();) {
    std::uint64_t version = 0;
    if (!serve_one(session, each->first, each->second, state, version)) {
      ++each;
    } else if (each->second.onetime) {
      each = session.subscriptions.erase(each);
    } else {
      each->second.next = version + 1;
      ++each;
    }
  }
}

void Publisher::publish(const State& before, const State& now) {
  bool maps = before.osd().epoch() != now.osd().epoch() || before.fs().map().epoch != now.fs().map().epoch ||
              before.mon().map().epoch != now.mon().map().epoch || before.config().number() != now.config().number();
  if (before.log().number() != now.log().number()) publish_log(before, now);
  if (!maps) return;
  for (const auto& session : sessions_.all()) serve(*session, now);
}

/// Ceph: LogMonitor::check_sub. The subscription names the least priority: "log-debug" ... "log-error".
void Publisher::publish_log(const State& before, const State& now) {
  static constexpr std::pair<const char*, msg::LogPriority> levels[] = {{"log-debug", msg::LogPriority::debug},
                                                                        {"log-info", msg::LogPriority::info},
                                                                        {"log-sec", msg::LogPriority::security},
                                                                        {"log-warn", msg::LogPriority::warning},
                                                                        {"log-error", msg::LogPriority::error}};
  std::vector<msg::LogEntry> fresh;
  for (const auto& [name, channel] : now.log().channels()) {
    auto known = before.log().channels().find(name);
    auto last = known == before.log().channels().end() || known->second.empty() ? nullptr : known->second.back();
    auto first = channel.end();
    while (first != channel.begin() && *std::prev(first) != last) --first;
    for (; first != channel.end(); ++first) fresh.push_back(**first);
  }
  for (const auto& session : sessions_.all())
    for (const auto& [name, least] : levels) {
      if (!session->subscriptions.contains(name) || !session->allows("log", read_access)) continue;
      msg::Log lines;
      lines.paxos.version = now.log().number();  // clients skip what does not grow
      lines.fsid = now.osd().map().fsid;
      for (const auto& entry : fresh)
        if (entry.priority >= least) lines.entries.push_back(entry);
      if (!lines.entries.empty()) session->send(lines);
    }
}

bool Publisher::serve_one(Session& session, const std::string& what, const Subscription& wanted, const State& state,
                          std::uint64_t& version) {
  if (what == "monmap") {
    version = state.mon().map().epoch.value;
    if (wanted.next > version) return false;
    send_monmap(session, state);
    return true;
  }
  if (what == "config") {
    auto values = config_for(state, session.name().describe(), session.hostname);
    version = state.config().number();
    if (session.config_sent && *session.config_sent == values) return false;
    send_config(session, state);
    return true;
  }
  if (what == "osdmap") {
    version = state.osd().epoch().value;
    if (wanted.next > version || !session.allows("osd", read_access)) return false;
    if (wanted.next == 0)
      send_osdmap(session, state);
    else
      send_osdmaps(session, state, msg::Epoch(static_cast<std::uint32_t>(wanted.next)));
    return true;
  }
  if (what == "mgrmap") {
    version = 1;
    if (wanted.next > version) return false;
    session.send(msg::MgrMapMessage{encode_empty_mgr_map()});
    return true;
  }
  if (what == "fsmap" || what == "fsmap.user") {
    const auto& map = state.fs().map();
    version = map.epoch.value;
    if (wanted.next > version || !session.allows("mds", read_access)) return false;
    if (what == "fsmap")
      session.send(msg::FsMapMessage{map.epoch, encode(map)});
    else
      session.send(msg::FsMapUserMessage{map.epoch, encode(maps::FsMapUser::of(map))});
    return true;
  }
  if (what.starts_with("mdsmap")) return serve_mdsmap(session, what, wanted, state, version);
  return false;  // nothing of that name ever comes
}

/// Ceph: MDSMonitor::check_sub. "mdsmap.ID" is one file system's; "mdsmap" the one a client's capabilities name or else
/// the default one, and for an MDS the one it serves. Who has none gets an empty map.
bool Publisher::serve_mdsmap(Session& session, const std::string& what, const Subscription& wanted, const State& state,
                             std::uint64_t& version) {
  if (!session.allows("mds", read_access)) return false;
  const auto& all = state.fs().map();
  const maps::FileSystem* fs = nullptr;
  maps::MdsMap empty;
  if (what.size() > 7 && what[6] == '.') {
    std::int32_t fscid = -1;
    std::from_chars(what.data() + 7, what.data() + what.size(), fscid);
    fs = all.file_system(fscid);
    if (!fs) return false;
  } else if (session.is(msg::EntityType::mds)) {
    auto found = state.fs().find(maps::MdsGid(session.connection->identity().global_id));
    fs = found.file_system;
    if (!fs && found) empty.daemons[found.info->gid] = *found.info;
  } else {
    auto allowed = session.caps.file_systems();
    fs = allowed.empty() ? all.file_system(all.default_fscid) : all.file_system(allowed.front());
  }
  if (!fs) {
    empty.epoch = all.epoch;
    empty.compat_set = all.default_compat;
  }
  const maps::MdsMap& map = fs ? fs->mds_map : empty;
  version = map.epoch.value;
  if (wanted.next > version) return false;
  session.send(msg::MdsMapMessage{state.osd().map().fsid, map.epoch, encode(map), map.name});
  return true;
}

void Publisher::send_monmap(Session& session, const State& state) {
  session.send(msg::MonMapMessage{encode(state.mon().map())});
}

void Publisher::send_config(Session& session, const State& state) {
  session.config_sent = config_for(state, session.name().describe(), session.hostname);
  session.send(msg::ConfigMessage{*session.config_sent});
}

void Publisher::send_osdmap(Session& session, const State& state) {
  const auto& osd = state.osd();
  auto full = osd.full(osd.epoch());
  if (!full) return;
  msg::OsdMapMessage message{osd.map().fsid, {}, {{osd.epoch(), *full}}, osd.first(), osd.epoch(), {}};
  session.send(message);
  session.osdmap_sent = osd.epoch();
}

void Publisher::send_osdmaps(Session& session, const State& state, msg::Epoch first) {
  const auto& osd = state.osd();
  msg::OsdMapMessage message{osd.map().fsid, {}, {}, osd.first(), osd.epoch(), {}};
  if (first <= osd.first()) {
    auto full = osd.full(osd.first());
    if (!full) return;
    message.full[osd.first()] = *full;
    first = osd.first().next();
  }
  auto next = osd.incrementals().lower_bound(first);
  while (true) {
    for (; next != osd.incrementals().end() && message.incrementals.size() < incrementals_per_message; ++next)
      message.incrementals[next->first] = next->second.incremental;
    session.send(message);
    if (next == osd.incrementals().end()) break;
    message.incrementals.clear();
    message.full.clear();
  }
  session.osdmap_sent = osd.epoch();
}

}  // namespace spirula::mon
