#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <span>

#include "base/config.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "base/program.h"
#include "librados/bench.h"
#include "librados/cluster.h"
#include "msg/message.h"
#include "msg/pool_stats.h"

/// A small `rados`: objects in and out, and load for ours and for stock clusters. Its verbs are named as in Ceph's
/// tool.
namespace {

using namespace spirula;
using namespace spirula::librados;

constexpr std::uint64_t piece_bytes = 4 << 20;  // what put and get move at a time, as Ceph's tool does

constexpr Option tool_options[] = {
    {.name = "pool", .description = "the pool, by name", .letter = 'p'},
    {.name = "namespace", .description = "the namespace in the pool", .letter = 'N'},
    {.name = "all", .type = OptionType::boolean, .default_value = "false", .description = "ls: every namespace"},
    {.name = "block_size",
     .type = OptionType::size,
     .default_value = "4M",
     .description = "bench: bytes an operation",
     .min = 1,
     .max = 64 << 20,
     .letter = 'b'},
    {.name = "concurrent_ios",
     .type = OptionType::integer,
     .default_value = "16",
     .description = "bench: operations in flight",
     .min = 1,
     .max = 4096,
     .letter = 't'},
    {.name = "run_name", .default_value = "spirula_bench", .description = "bench: prefix of the objects"},
    {.name = "objects",
     .type = OptionType::integer,
     .default_value = "0",
     .description = "bench write: go round so many objects; 0: a new one each time",
     .min = 0,
     .max = 1e12},
    {.name = "cleanup",
     .type = OptionType::boolean,
     .default_value = "true",
     .description = "bench write: remove the objects afterwards (--no-cleanup: keep them for reading)"},
    {.name = "verify",
     .type = OptionType::boolean,
     .default_value = "true",
     .description = "bench seq, rand: compare what is read"},
    {.name = "cpu_of", .description = "bench: report processor time and memory of these process ids, a,b,..."},
    {.name = "format", .default_value = "plain", .description = "bench, df: plain or json", .letter = 'f'},
    {.name = "timeout",
     .type = OptionType::duration,
     .default_value = "30",
     .description = "how long to wait for the monitors",
     .min = 0.001,
     .max = 86400},
};

constexpr const char* usage =
    "usage: rados -c CONF -p POOL VERB ...\n"
    "  lspools | df | ls\n"
    "  put OBJECT FILE | get OBJECT FILE | append OBJECT FILE | create OBJECT | rm OBJECT... | stat OBJECT\n"
    "  truncate OBJECT SIZE\n"
    "  listxattr OBJECT | getxattr OBJECT NAME | setxattr OBJECT NAME VALUE | rmxattr OBJECT NAME\n"
    "  listomapkeys OBJECT | listomapvals OBJECT | getomapval OBJECT KEY | setomapval OBJECT KEY VALUE | rmomapkey "
    "OBJECT KEY\n"
    "  watch OBJECT | notify OBJECT TEXT | listwatchers OBJECT\n"
    "  bench SECONDS write|seq|rand | cleanup\n";

struct Tool {
  Shard& shard;
  Config& config;
  Cluster& cluster;
  std::span<const std::string> words;  ///< after the verb
  std::int64_t pool = -1;

  Objecter& objecter() const { return cluster.objecter(); }
  ObjectRef object(std::string name) const { return {pool, std::move(name), config.text("namespace"), {}}; }
};

Task<Result<>> lspools(Tool& tool) {
  CO_TRY(co_await tool.cluster.maps().wait_for(msg::Epoch{1}, tool.config.duration("timeout")));
  for (const auto& [id, name] : tool.cluster.maps().current()->pool_names) fmt::print("{}\n", name);
  co_return Result<>{};
}

Task<Result<>> df(Tool& tool) {
  CO_TRY(co_await tool.cluster.maps().wait_for(msg::Epoch{1}, tool.config.duration("timeout")));
  msg::GetPoolStats ask;
  ask.fsid = tool.cluster.monitors().fsid();
  for (const auto& [id, name] : tool.cluster.maps().current()->pool_names) ask.pools.push_back(name);
  msg::Message pools_request = msg::make_message(ask);
  CO_TRY(msg::Message pools_answer,
         co_await tool.cluster.monitors().exchange(std::move(pools_request), msg::GetPoolStatsReply::message_type));
  CO_TRY(auto pools, msg::read_message<msg::GetPoolStatsReply>(pools_answer));
  msg::Statfs statfs;
  statfs.fsid = ask.fsid;
  msg::Message space_request = msg::make_message(statfs);
  CO_TRY(msg::Message space_answer,
         co_await tool.cluster.monitors().exchange(std::move(space_request), msg::StatfsReply::message_type));
  CO_TRY(auto space, msg::read_message<msg::StatfsReply>(space_answer));
  fmt::print("{:24} {:>14} {:>10} {:>8} {:>10} {:>10} {:>10}\n", "POOL", "BYTES", "OBJECTS", "CLONES", "DEGRADED",
             "READS", "WRITES");
  for (const auto& [name, stats] : pools.pools) {
    const msg::ObjectStats& sum = stats.stats.sum;
    fmt::print("{:24} {:>14} {:>10} {:>8} {:>10} {:>10} {:>10}\n", name, sum.bytes, sum.objects, sum.clones,
               sum.degraded, sum.reads, sum.writes);
  }
  fmt::print("total {} KiB, used {} KiB, available {} KiB, {} objects\n", space.total_kib, space.used_kib,
             space.available_kib, space.objects);
  co_return Result<>{};
}

Task<Result<>> ls(Tool& tool) {
  std::string name_space = tool.config.flag("all") ? Objecter::all_namespaces : tool.config.text("namespace");
  const maps::Pool* pool = tool.objecter().map()->pool(tool.pool);
  if (!pool) co_return Errc::not_found;
  for (std::uint32_t seed = 0, pg_num = pool->pg_num; seed < pg_num; ++seed) {
    msg::HObject from = msg::HObject::min();
    for (bool end = false; !end;) {
      CO_TRY(Objecter::Page page, co_await tool.objecter().list({tool.pool, seed}, name_space, from));
      for (const msg::ListedObject& each : page.objects)
        fmt::print("{}{}{}\n", tool.config.flag("all") ? each.name_space + "\t" : "", each.name,
                   each.key.empty() ? "" : "\t" + each.key);
      end = page.end;
      from = page.next;
    }
  }
  co_return Result<>{};
}

Task<Result<>> put(Tool& tool) {
  std::ifstream file;
  std::istream* in = &std::cin;
  if (tool.words[1] != "-") {
    file.open(tool.words[1], std::ios::binary);
    if (!file) co_return last_errno();
    in = &file;
  }
  for (std::uint64_t offset = 0;; offset += piece_bytes) {
    Buffer piece = Buffer::allocate(piece_bytes);
    in->read(reinterpret_cast<char*>(piece.mutable_data()), piece_bytes);
    auto got = static_cast<std::size_t>(in->gcount());
    if (got == 0 && offset > 0) break;
    BufferList data(piece.slice(0, got));
    if (offset == 0)
      CO_TRY(co_await tool.objecter().write_full(tool.object(tool.words[0]), data));
    else
      CO_TRY(co_await tool.objecter().write(tool.object(tool.words[0]), offset, data));
    if (got < piece_bytes) break;
  }
  co_return Result<>{};
}

Task<Result<>> get(Tool& tool) {
  std::FILE* out = tool.words[1] == "-" ? stdout : std::fopen(tool.words[1].c_str(), "wb");
  if (!out) co_return last_errno();
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> closer(out == stdout ? nullptr : out, std::fclose);
  for (std::uint64_t offset = 0;; offset += piece_bytes) {
    CO_TRY(BufferList data, co_await tool.objecter().read(tool.object(tool.words[0]), offset, piece_bytes));
    for (const Buffer& piece : data.buffers())
      if (std::fwrite(piece.data(), 1, piece.size(), out) != piece.size()) co_return last_errno();
    if (data.size() < piece_bytes) break;
  }
  if (std::fflush(out) != 0) co_return last_errno();
  co_return Result<>{};
}

Task<Result<>> append(Tool& tool) {
  std::ifstream file(tool.words[1], std::ios::binary);
  if (!file) co_return last_errno();
  std::string text((std::istreambuf_iterator<char>(file)), {});
  co_return co_await tool.objecter().append(tool.object(tool.words[0]), Buffer::copy_of(text));
}

Task<Result<OperationResult>> run_one(Tool& tool, Operation operation) {
  co_return co_await tool.objecter().execute(tool.object(tool.words[0]), std::move(operation));
}
Task<Result<>> modify(Tool& tool, Operation operation) {
  CO_TRY(co_await run_one(tool, std::move(operation)));
  co_return Result<>{};
}

Task<Result<>> create(Tool& tool) {
  Operation operation;
  operation.create(true);
  co_return co_await modify(tool, std::move(operation));
}
Task<Result<>> rm(Tool& tool) {
  for (const std::string& name : tool.words) CO_TRY(co_await tool.objecter().remove(tool.object(name)));
  co_return Result<>{};
}
Task<Result<>> stat(Tool& tool) {
  CO_TRY(msg::StatOutput found, co_await tool.objecter().stat(tool.object(tool.words[0])));
  fmt::print("{}/{} mtime {}, size {}\n", tool.config.text("pool"), tool.words[0], found.mtime.describe(), found.size);
  co_return Result<>{};
}
Task<Result<>> truncate(Tool& tool) {
  CO_TRY(std::uint64_t size, parse_size(tool.words[1]));
  co_return co_await tool.objecter().truncate(tool.object(tool.words[0]), size);
}

void print_values(const OmapValues& values) {
  for (const auto& [key, value] : values) fmt::print("{}\t{}\n", key, value.text());
}

Task<Result<>> listxattr(Tool& tool) {
  Operation operation;
  operation.get_xattrs();
  CO_TRY(OperationResult result, co_await run_one(tool, std::move(operation)));
  CO_TRY(OmapValues values, result.xattrs(0));
  for (const auto& [name, value] : values) fmt::print("{}\n", name);
  co_return Result<>{};
}
Task<Result<>> getxattr(Tool& tool) {
  Operation operation;
  operation.get_xattr(tool.words[1]);
  CO_TRY(OperationResult result, co_await run_one(tool, std::move(operation)));
  CO_TRY(BufferList value, result.data(0));
  fmt::print("{}", value.flatten().text());
  co_return Result<>{};
}
Task<Result<>> setxattr(Tool& tool) {
  Operation operation;
  operation.set_xattr(tool.words[1], Buffer::copy_of(tool.words[2]));
  co_return co_await modify(tool, std::move(operation));
}
Task<Result<>> rmxattr(Tool& tool) {
  Operation operation;
  operation.remove_xattr(tool.words[1]);
  co_return co_await modify(tool, std::move(operation));
}
Task<Result<>> listomapkeys(Tool& tool) {
  CO_TRY(OmapValues values, co_await tool.objecter().omap_all(tool.object(tool.words[0])));
  for (const auto& [key, value] : values) fmt::print("{}\n", key);
  co_return Result<>{};
}
Task<Result<>> listomapvals(Tool& tool) {
  CO_TRY(OmapValues values, co_await tool.objecter().omap_all(tool.object(tool.words[0])));
  print_values(values);
  co_return Result<>{};
}
Task<Result<>> getomapval(Tool& tool) {
  Operation operation;
  operation.omap_get_by_keys({tool.words[1]});
  CO_TRY(OperationResult result, co_await run_one(tool, std::move(operation)));
  CO_TRY(OmapValues values, result.omap_by_keys(0));
  if (values.empty()) co_return Errc::no_data;
  fmt::print("{}", values.begin()->second.text());
  co_return Result<>{};
}
Task<Result<>> setomapval(Tool& tool) {
  Operation operation;
  operation.omap_set({{tool.words[1], Buffer::copy_of(tool.words[2])}});
  co_return co_await modify(tool, std::move(operation));
}
Task<Result<>> rmomapkey(Tool& tool) {
  Operation operation;
  operation.omap_remove({tool.words[1]});
  co_return co_await modify(tool, std::move(operation));
}

Task<Result<>> listwatchers(Tool& tool) {
  Operation operation;
  operation.list_watchers();
  CO_TRY(OperationResult result, co_await run_one(tool, std::move(operation)));
  CO_TRY(BufferList bytes, result.data(0));
  CO_TRY(auto found, decode<msg::WatchersOutput>(bytes.flatten()));
  for (const msg::WatchItem& each : found.watchers)
    fmt::print("watcher={} client={} cookie={}\n", each.address.describe(), each.name.describe(), each.cookie);
  co_return Result<>{};
}
/// Until SIGTERM or SIGINT.
Task<Result<>> watch(Tool& tool) {
  Objecter::WatchEvents events;
  events.on_notify = [](std::uint64_t notifier, const Buffer& payload) {
    fmt::print("NOTIFY from client.{}: {}\n", notifier, payload.text());
    std::fflush(stdout);
    return Buffer::copy_of("seen");
  };
  events.on_lost = [](std::error_code why) { fmt::print(stderr, "the watch is lost: {}\n", why.message()); };
  CO_TRY(std::uint64_t cookie, co_await tool.objecter().watch(tool.object(tool.words[0]), std::move(events)));
  co_await wait_for_termination(tool.shard);
  co_return co_await tool.objecter().unwatch(cookie);
}
Task<Result<>> notify(Tool& tool) {
  CO_TRY(auto response, co_await tool.objecter().notify(tool.object(tool.words[0]), Buffer::copy_of(tool.words[1])));
  for (const auto& [who, answer] : response.replies)
    fmt::print("reply client.{} cookie {} : {}\n", who.first, who.second, answer.text());
  for (const auto& who : response.missed) fmt::print("timeout client.{} cookie {}\n", who.first, who.second);
  co_return Result<>{};
}

// --- bench
// ------------------------------------------------------------------------------------------------------------

BenchPlan bench_plan(const Tool& tool) {
  BenchPlan plan;
  plan.pool = tool.pool;
  plan.name_space = tool.config.text("namespace");
  plan.run_name = tool.config.text("run_name");
  plan.block_bytes = tool.config.size("block_size");
  plan.depth = static_cast<unsigned>(tool.config.integer("concurrent_ios"));
  plan.objects = static_cast<std::uint64_t>(tool.config.integer("objects"));
  plan.cleanup = tool.config.flag("cleanup");
  plan.verify = tool.config.flag("verify");
  return plan;
}

struct Watched {
  int pid = 0;
  double cpu_seconds = 0;
};

void print_bench(const Tool& tool, const BenchResult& result, std::uint64_t bytes, std::span<const Watched> watched) {
  double ops = static_cast<double>(result.operations), per_second = ops / result.seconds;
  bool json = tool.config.text("format") == "json";
  std::string processes;
  for (const Watched& each : watched) {
    double cpu = process_cpu_seconds(each.pid) - each.cpu_seconds;
    double mib = static_cast<double>(process_resident_bytes(each.pid)) / 1048576;
    processes +=
        json ? fmt::format("{}{{\"pid\": {}, \"cpu_us_per_op\": {:.1f}, \"resident_mib\": {:.1f}}}",
                           processes.empty() ? "" : ", ", each.pid, cpu * 1e6 / ops, mib)
             : fmt::format("process {}       {:.1f} us CPU/op, {:.1f} MiB resident\n", each.pid, cpu * 1e6 / ops, mib);
  }
  double mib_per_second = per_second * static_cast<double>(bytes) / 1048576;
  double client = result.client_cpu_seconds * 1e6 / ops;
  if (json) {
    fmt::print(
        "{{\"operations\": {}, \"errors\": {}, \"mismatches\": {}, \"seconds\": {:.3f}, \"ops_per_second\": {:.1f}, "
        "\"mib_per_second\": {:.2f}, \"latency_ms\": {{\"p50\": {:.3f}, \"p90\": {:.3f}, \"p99\": {:.3f}, "
        "\"p99.9\": {:.3f}, \"max\": {:.3f}}}, \"client_cpu_us_per_op\": {:.1f}, \"processes\": [{}]}}\n",
        result.operations, result.errors, result.mismatches, result.seconds, per_second, mib_per_second,
        result.percentile(50), result.percentile(90), result.percentile(99), result.percentile(99.9),
        result.percentile(100), client, processes);
    return;
  }
  fmt::print("operations     {} of {} bytes in {:.2f} s, {} errors, {} mismatches\n", result.operations, bytes,
             result.seconds, result.errors, result.mismatches);
  fmt::print("rate           {:.1f} ops/s, {:.2f} MiB/s\n", per_second, mib_per_second);
  fmt::print("latency ms     p50 {:.3f}  p90 {:.3f}  p99 {:.3f}  p99.9 {:.3f}  max {:.3f}\n", result.percentile(50),
             result.percentile(90), result.percentile(99), result.percentile(99.9), result.percentile(100));
  fmt::print("client         {:.1f} us CPU/op\n{}", client, processes);
}

Task<Result<>> bench(Tool& tool) {
  BenchPlan plan = bench_plan(tool);
  CO_TRY(double seconds, parse_seconds(tool.words[0]));
  plan.duration = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  if (tool.words[1] == "write")
    plan.kind = BenchPlan::Kind::write;
  else if (tool.words[1] == "seq")
    plan.kind = BenchPlan::Kind::sequential;
  else if (tool.words[1] == "rand")
    plan.kind = BenchPlan::Kind::random;
  else
    co_return Errc::invalid;
  std::vector<Watched> watched;
  std::string pids = tool.config.text("cpu_of");
  for (std::size_t at = 0; at < pids.size();) {
    std::size_t end = std::min(pids.find(',', at), pids.size());
    int pid = std::atoi(pids.substr(at, end - at).c_str());
    watched.push_back({pid, process_cpu_seconds(pid)});
    at = end + 1;
  }
  CO_TRY(BenchResult result, co_await run_bench(tool.shard, tool.objecter(), plan));
  print_bench(tool, result, result.block_bytes, watched);
  if (result.first_error) co_return result.first_error;
  if (result.mismatches) co_return Errc::io;
  co_return Result<>{};
}

Task<Result<>> cleanup(Tool& tool) {
  CO_TRY(std::uint64_t removed, co_await clean_bench(tool.shard, tool.objecter(), bench_plan(tool)));
  fmt::print("Removed {} objects\n", removed);
  co_return Result<>{};
}

struct Verb {
  const char* name;
  std::size_t words_min, words_max;
  bool needs_pool;
  Task<Result<>> (*run)(Tool&);
};
constexpr Verb verbs[] = {
    {"lspools", 0, 0, false, lspools},
    {"df", 0, 0, false, df},
    {"ls", 0, 0, true, ls},
    {"put", 2, 2, true, put},
    {"get", 2, 2, true, get},
    {"append", 2, 2, true, append},
    {"create", 1, 1, true, create},
    {"rm", 1, 1000000, true, rm},
    {"stat", 1, 1, true, stat},
    {"truncate", 2, 2, true, truncate},
    {"listxattr", 1, 1, true, listxattr},
    {"getxattr", 2, 2, true, getxattr},
    {"setxattr", 3, 3, true, setxattr},
    {"rmxattr", 2, 2, true, rmxattr},
    {"listomapkeys", 1, 1, true, listomapkeys},
    {"listomapvals", 1, 1, true, listomapvals},
    {"getomapval", 2, 2, true, getomapval},
    {"setomapval", 3, 3, true, setomapval},
    {"rmomapkey", 2, 2, true, rmomapkey},
    {"listwatchers", 1, 1, true, listwatchers},
    {"watch", 1, 1, true, watch},
    {"notify", 2, 2, true, notify},
    {"bench", 2, 2, true, bench},
    {"cleanup", 0, 0, true, cleanup},
};

Task<Result<>> run_verb(Tool& tool, const Verb& verb) {
  if (verb.needs_pool) {
    auto pool = co_await tool.cluster.find_pool(tool.config.text("pool"));
    if (!pool) {
      fmt::print(stderr, "pool \"{}\": {}\n", tool.config.text("pool"), pool.error().message());
      co_return pool.error();
    }
    tool.pool = *pool;
  }
  co_return co_await verb.run(tool);
}

Task<int> run(Shard& shard, Config& config, const Verb& verb) {
  auto cluster = co_await Cluster::connect(shard, config, config.duration("timeout"));
  if (!cluster) {
    fmt::print(stderr, "cannot reach the cluster: {}\n", cluster.error().message());
    co_return 1;
  }
  Tool tool{shard, config, **cluster, std::span(config.positional()).subspan(1)};
  Result<> done = co_await run_verb(tool, verb);
  co_await (*cluster)->stop();
  if (!done) fmt::print(stderr, "{}: {}\n", verb.name, done.error().message());
  co_return done ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  log_set_level("", LogLevel::warning);
  Config config("client", "admin");
  config.add(tool_options);
  if (auto status = read_command_line(config, usage, argc, argv)) return *status;
  const auto& words = config.positional();
  const Verb* verb = nullptr;
  for (const Verb& each : verbs)
    if (!words.empty() && words[0] == each.name) verb = &each;
  if (!verb || words.size() - 1 < verb->words_min || words.size() - 1 > verb->words_max) {
    fmt::print(stderr, "{}", usage);
    return 1;
  }
  return run_main([&config, verb](Shard& shard) { return run(shard, config, *verb); });
}
