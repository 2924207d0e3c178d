#include "appliance/status.h"

#include <fmt/format.h>
#include <boost/json/array.hpp>

#include <charconv>

#include "appliance/admin_client.h"
#include "appliance/files.h"
#include "appliance/json_read.h"
#include "appliance/space.h"
#include "base/coroutine.h"

namespace spirula::appliance {
namespace json = boost::json;
using namespace std::chrono_literals;

namespace {

constexpr Duration look_every = 3s;
constexpr Duration ask_disks_every = 10min;
constexpr std::size_t samples_max = 1200;  // an hour
constexpr double space_low = 0.8, space_critical = 0.93;

/// What local daemons said through their admin sockets.
struct Asked {
  Totals totals;
  json::array clients;
};

Asked ask_all(const Places& places, const Document& document) {
  Asked asked;
  for (const DiskRecord& disk : document.disks) {
    auto counters = ask_daemon(places.admin_socket(fmt::format("osd.{}", disk.osd)), "perf dump");
    if (!counters) continue;
    asked.totals.read_bytes += number_at(*counters, "/osd/op_out_bytes");
    asked.totals.write_bytes += number_at(*counters, "/osd/op_in_bytes");
    asked.totals.reads += number_at(*counters, "/osd/op_r");
    asked.totals.writes += number_at(*counters, "/osd/op_w");
    asked.totals.read_seconds += number_at(*counters, "/osd/op_r_latency/sum");
    asked.totals.write_seconds += number_at(*counters, "/osd/op_w_latency/sum");
  }
  for (const char* mds : {"mds.a", "mds.b"}) {
    auto sessions = ask_daemon(places.admin_socket(mds), "session ls");
    if (!sessions || !sessions->is_array()) continue;
    for (const json::value& session : sessions->get_array()) {
      std::string root = text_at(session, "/client_metadata/root");
      if (text_at(session, "/client_metadata/entity_id") == "applianced") continue;
      asked.clients.push_back(json::object{{"host", text_at(session, "/client_metadata/hostname")},
                                           {"share", root.starts_with('/') ? root.substr(1) : root},
                                           {"address", text_at(session, "/inst")}});
    }
  }
  return asked;
}

}  // namespace

Sample rate_between(const Totals& before, const Totals& after, double seconds, std::int64_t when) {
  Sample sample{.when = when};
  auto grown = [](double from, double to) { return to > from ? to - from : 0; };
  if (seconds <= 0) return sample;
  const double reads = grown(before.reads, after.reads), writes = grown(before.writes, after.writes);
  sample.read_bytes = grown(before.read_bytes, after.read_bytes) / seconds;
  sample.write_bytes = grown(before.write_bytes, after.write_bytes) / seconds;
  sample.operations = (reads + writes) / seconds;
  if (reads > 0) sample.read_ms = grown(before.read_seconds, after.read_seconds) / reads * 1000;
  if (writes > 0) sample.write_ms = grown(before.write_seconds, after.write_seconds) / writes * 1000;
  return sample;
}

HealthWords health_words(const HealthFacts& facts) {
  const json::value& status = facts.status;
  const std::string trouble = facts.troubles.empty() ? "" : facts.troubles.begin()->second;
  if (!status.is_object() && !trouble.empty())
    return {"bad", "The storage could not be started. " + trouble, "Try again; if it stays so, restart the box.", true};
  if (!status.is_object())
    return {"bad", "The storage does not answer.",
            "Wait a minute; if it stays so, restart the box. Nothing that was saved is lost."};
  boost::system::error_code error;
  const json::value* found = status.find_pointer("/health/checks", error);
  const json::object checks = found && found->is_object() ? found->get_object() : json::object();
  const double osds = number_at(status, "/osdmap/num_osds"), up = number_at(status, "/osdmap/num_up_osds");
  if (up < osds || !trouble.empty()) {
    const std::string what = !trouble.empty() ? trouble
                                              : fmt::format("{:.0f} of {:.0f} disks {} not work.", osds - up, osds,
                                                            osds - up == 1 ? "does" : "do");
    if (facts.copies > 1 && !checks.contains("PG_AVAILABILITY"))
      return {
          "warning", what + " Every file is still there and can be changed.",
          "Check the disk's power and cable. If it is broken, add another one under Disks, then take the broken one "
          "out.",
          true};
    return {"bad",
            fmt::format("{} Some files cannot be read until {} back.", what, osds - up > 1 ? "they are" : "it is"),
            "Check the disk's power and cable, then try again. Nothing was deleted.", true};
  }
  if (!facts.failing.empty())
    return {"bad", fmt::format("The disk {} says that it is about to fail.", facts.failing.front()),
            facts.copies > 1 ? "Add another disk under Disks, then take this one out."
                             : "Add another disk under Disks, then take this one out: its files move over."};
  if (number_at(status, "/fsmap/up") < 1)
    return {"bad", "The file system is not available yet.",
            "It should be within a minute. Programs that use a share wait until then."};
  if (facts.used_share >= space_critical || checks.contains("OSD_FULL") || checks.contains("POOL_FULL"))
    return {"bad", fmt::format("The storage is {:.0f} % full and refuses new files soon.", facts.used_share * 100),
            "Delete files that are no longer needed, or add a disk, now."};
  if (facts.used_share >= space_low || checks.contains("OSD_NEARFULL"))
    return {"warning", fmt::format("The storage is {:.0f} % full.", facts.used_share * 100),
            "Delete files that are no longer needed, or add a disk."};
  if (checks.contains("PG_AVAILABILITY"))
    return {"warning", "Some storage is still starting.", "Wait a minute; it takes care of itself."};
  if (checks.contains("PG_DEGRADED"))
    return {"warning", "Some files have fewer copies than they should at the moment.",
            "The box makes the missing ones by itself; every file can be used meanwhile."};
  if (checks.contains("MON_DISK_LOW"))
    return {"warning", "The system disk is getting full.", "Free space on the system disk."};
  for (const auto& [code, check] : checks) {
    // The owner chose it, and was told what it means.
    if (code == "POOL_NO_REDUNDANCY" || code == "TOO_FEW_OSDS") continue;
    return {"warning", text_at(check, "/summary/message"), "If it stays so for minutes, restart the box."};
  }
  return {"good", "Everything works.", ""};
}

Memory memory_of(std::string_view meminfo) {
  auto field = [&](std::string_view name) -> std::int64_t {
    std::size_t at = meminfo.find(name);
    if (at == meminfo.npos) return 0;
    at = meminfo.find_first_not_of(' ', at + name.size());
    std::int64_t kib = 0;
    if (at != meminfo.npos) std::from_chars(meminfo.data() + at, meminfo.data() + meminfo.size(), kib);
    return kib << 10;
  };
  const std::int64_t total = field("MemTotal:");
  return {.total = total, .used = total - field("MemAvailable:")};
}

Watcher::Watcher(Shard& shard, Box& box, DocumentStore& documents, BlockingPool& workers, Metrics& metrics)
    : shard_(shard),
      box_(box),
      documents_(documents),
      workers_(workers),
      bytes_used_(metrics.gauge("box", "bytes_used", "bytes of files, each counted once")),
      bytes_total_(metrics.gauge("box", "bytes_total", "bytes of files that have room, each counted once")),
      clients_(metrics.gauge("box", "clients", "clients that have a share mounted")),
      healthy_(metrics.gauge("box", "healthy", "1 when everything works")),
      memory_total_(metrics.gauge("box", "memory_total_bytes", "the machine's memory")),
      memory_used_(metrics.gauge("box", "memory_used_bytes", "of it, what could not be had for something else")),
      looks_(metrics.counter("box", "looks", "how often the box was looked at")),
      tasks_(shard) {}

void Watcher::start() {
  tasks_.spawn(watch());
}

Task<> Watcher::stop() {
  co_await tasks_.stop();
}

Task<> Watcher::watch() {
  do {
    auto meminfo = read_file("/proc/meminfo");
    const Memory memory = memory_of(meminfo ? *meminfo : std::string());
    memory_total_.set(memory.total);
    memory_used_.set(memory.used);
    if (documents_.current().setup != SetupState::blank) co_await look();
  } while (co_await shard_.clock().sleep(look_every));
}

/// Where they are now is known only while they are mounted: the path of a disk may change with every start.
Task<> Watcher::ask_disks(std::vector<DiskRecord> disks) {
  const MonotonicTime now = shard_.clock().now();
  if (disks_asked_ != MonotonicTime{} && now - disks_asked_ < ask_disks_every) co_return;
  disks_asked_ = now;
  std::map<std::string, DiskHealth> health;
  co_await workers_.run([&] {
    for (const DiskRecord& disk : disks) {
      auto where = find_filesystem(disk.filesystem);
      auto said = where ? ask_disk(*where) : std::nullopt;
      if (said) health[disk.filesystem] = *said;
    }
  });
  disk_health_ = std::move(health);
}

Task<> Watcher::look() {
  looks_.add();
  json::value status, df;
  if (ClusterLink* link = box_.link()) {
    auto answer = co_await link->command({{"prefix", "status"}});
    if (answer) status = std::move(answer->output);
    auto space = co_await link->command({{"prefix", "df"}});
    if (space) df = std::move(space->output);
  }
  const Document document = documents_.current();
  Asked asked;
  co_await workers_.run([&] { asked = ask_all(box_.options().places, document); });
  co_await ask_disks(document.disks);
  auto services = co_await box_.supervisor().status();

  const MonotonicTime now = shard_.clock().now();
  const auto when = std::chrono::duration_cast<std::chrono::seconds>(shard_.clock().wall().time_since_epoch()).count();
  if (last_at_ != MonotonicTime{}) {
    samples_.push_back(rate_between(last_, asked.totals, std::chrono::duration<double>(now - last_at_).count(), when));
    if (samples_.size() > samples_max) samples_.pop_front();
  }
  last_ = asked.totals;
  last_at_ = now;

  const Space space = space_of(df, document.copies);
  std::vector<std::string> failing;
  for (const DiskRecord& disk : document.disks)
    if (auto at = disk_health_.find(disk.filesystem); at != disk_health_.end() && !at->second.passed)
      failing.push_back(disk.serial.empty() ? disk.path : disk.serial);
  const bool starting = documents_.current().setup == SetupState::making;
  HealthWords words = starting ? HealthWords{"warning", "Storage is being set up.", "Wait until it is done."}
                               : health_words({.status = std::move(status),
                                               .troubles = box_.troubles(),
                                               .used_share = space.total > 0 ? space.used / space.total : 0,
                                               .failing = std::move(failing),
                                               .copies = document.copies});
  bytes_used_.set(static_cast<std::int64_t>(space.used));
  bytes_total_.set(static_cast<std::int64_t>(space.total));
  clients_.set(static_cast<std::int64_t>(asked.clients.size()));
  healthy_.set(words.level == "good");

  json::array daemons, disks;
  for (const auto& [name, service] : services)
    daemons.push_back(json::object{{"name", name}, {"running", service.running}, {"restarts", service.restarts}});
  for (const DiskRecord& disk : document.disks) {
    auto at = services.find(fmt::format("osd.{}", disk.osd));
    auto health = disk_health_.find(disk.filesystem);
    disks.push_back(json::object{{"name", fmt::format("osd.{}", disk.osd)},
                                 {"path", disk.path},
                                 {"serial", disk.serial},
                                 {"bytes", disk.bytes},
                                 {"made", disk.made},
                                 {"leaving", disk.leaving},
                                 {"works", at != services.end() && at->second.running},
                                 {"health", health == disk_health_.end() ? "" : health->second.describe()}});
  }
  json::object sample;
  if (!samples_.empty()) {
    const Sample& last = samples_.back();
    sample = {{"when", last.when},         {"read", last.read_bytes},
              {"write", last.write_bytes}, {"operations", last.operations},
              {"read_ms", last.read_ms},   {"write_ms", last.write_ms}};
  }
  status_ = {{"health",
              {{"level", words.level}, {"sentence", words.sentence}, {"advice", words.advice}, {"retry", words.retry}}},
             {"space", {{"used", space.used}, {"total", space.total}, {"copies", document.copies}}},
             {"clients", std::move(asked.clients)},
             {"disks", std::move(disks)},
             {"daemons", std::move(daemons)},
             {"sample", std::move(sample)}};
  ++version_;
}

json::object Watcher::history() const {
  json::array when, read, write, operations, read_ms, write_ms;
  for (const Sample& sample : samples_) {
    when.push_back(sample.when);
    read.push_back(sample.read_bytes);
    write.push_back(sample.write_bytes);
    operations.push_back(sample.operations);
    read_ms.push_back(sample.read_ms);
    write_ms.push_back(sample.write_ms);
  }
  return {{"when", std::move(when)},       {"read", std::move(read)},
          {"write", std::move(write)},     {"operations", std::move(operations)},
          {"read_ms", std::move(read_ms)}, {"write_ms", std::move(write_ms)}};
}

}  // namespace spirula::appliance
