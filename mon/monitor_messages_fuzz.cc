#include <boost/json.hpp>

#include "base/log.h"
#include "mon/command.h"
#include "mon/test_monitor.h"
#include "msg/auth_messages.h"
#include "msg/daemon_messages.h"
#include "msg/pool_stats.h"

/// Whatever a client, OSD or MDS that has logged in sends the monitor: it answers, refuses or hangs up, and what it has
/// decided loads again. Input: who sends (a byte), then for each message a byte of type, a byte of version, two of
/// length and the front. Commands are made of the tables: two bytes choose one, and one byte each of its arguments.
namespace spirula::mon {
namespace {

constexpr std::uint16_t types[] = {
    msg::MonSubscribe::message_type, msg::MonGetVersion::message_type, msg::MonGetMap::message_type,
    msg::MonGetOsdMap::message_type, msg::Statfs::message_type,        msg::PoolOp::message_type,
    msg::GetPoolStats::message_type, msg::Log::message_type,           msg::Auth::message_type,
    msg::GetConfig::message_type,    msg::OsdBoot::message_type,       msg::OsdBeacon::message_type,
    msg::OsdFailure::message_type,   msg::OsdMarkMeDown::message_type, msg::OsdAlive::message_type,
    msg::OsdPgTemp::message_type,    msg::MdsBeacon::message_type,     msg::BlocklistRequest::message_type,
    msg::RemoveSnaps::message_type,  msg::MonCommand::message_type};

const std::vector<JsonArray>& signatures() {
  static const auto all = [] {
    std::vector<JsonArray> found;
    for (const auto& row : boost::json::parse(all_commands().descriptions()).get_object())
      found.push_back(row.value().at("sig").as_array());
    return found;
  }();
  return all;
}

/// What people type: good and bad for most types of argument.
constexpr const char* words[] = {
    "md",    "dt",       "0",    "1",     "osd.0", "cfs",        "cfs:0",        "client.x",
    "mon.",  "host=box", "-1",   "1.5",   "*",     "4294967296", "default",      "replicated_rule",
    "1.0",   "size",     "true", "a",     "all",   "hdd",        "10.0.0.1:0/5", "10.0.0.0/8",
    "1e400", "",         "nan",  "noout", "osd",   "global",     "name",         "65536"};

std::string command_of(ByteView bytes) {
  if (bytes.size() < 2) return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  auto byte = [&](std::size_t i) { return i < bytes.size() ? std::to_integer<std::size_t>(bytes[i]) : i; };
  const auto& signature = signatures()[(byte(0) | byte(1) << 8) % signatures().size()];
  JsonObject request;
  std::string prefix;
  std::size_t at = 2;
  for (const auto& part : signature) {
    if (part.is_string()) {
      prefix += (prefix.empty() ? "" : " ") + std::string(part.get_string());
      continue;
    }
    const auto& parameter = part.get_object();
    std::size_t choice = byte(at++);
    if (choice == 255) continue;
    Json value = words[choice % std::size(words)];
    if (auto* choices = parameter.if_contains("strings"); choices && choice & 32) {
      std::vector<std::string> each;
      for (std::string_view rest = choices->get_string(); !rest.empty();) {
        auto end = std::min(rest.find('|'), rest.size());
        each.emplace_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
      if (!each.empty()) value = each[choice % each.size()];
    }
    if (choice & 64) value = static_cast<std::int64_t>(choice) - 96;
    if (parameter.if_contains("n")) value = JsonArray{value, words[byte(at++) % std::size(words)]};
    if (auto* type = parameter.if_contains("type"); type && *type == "CephBool") value = (choice & 1) != 0;
    request[parameter.at("name").get_string()] = std::move(value);
  }
  request["prefix"] = prefix;
  constexpr const char* formats[] = {"plain", "json", "json-pretty", "xml"};
  request["format"] = formats[byte(at) % 4];
  return boost::json::serialize(request);
}

Task<> feed(TestMonitor& all, ByteView input) {
  auto admin = all.client(1, "allow *");
  for (auto json : {R"({"prefix": "osd pool create", "pool": "md", "pg_num": 4})",
                    R"({"prefix": "osd pool create", "pool": "dt", "pg_num": 4})",
                    R"({"prefix": "fs new", "fs_name": "cfs", "metadata": "md", "data": "dt"})",
                    R"({"prefix": "osd new", "uuid": "11111111-2222-3333-4444-555555555556"})"})
    (void)co_await all.command(admin, json);
  constexpr msg::EntityType kinds[] = {msg::EntityType::client, msg::EntityType::osd, msg::EntityType::mds};
  auto byte = [&](std::size_t i) { return std::to_integer<std::size_t>(input[i]); };
  auto from = all.peer(kinds[byte(0) % 3], "0", 2, byte(0) & 64 ? "allow r" : "allow *");
  input = input.subspan(1);
  for (std::uint64_t tid = 1; input.size() >= 4 && tid < 32; ++tid) {
    std::size_t size = std::min<std::size_t>(byte(2) | byte(3) << 8, input.size() - 4);
    ByteView front = input.subspan(4, size);
    msg::Message message;
    message.type = types[byte(0) % std::size(types)];
    if (message.type == msg::MonCommand::message_type) {
      msg::MonCommand command;
      command.command = {command_of(front)};
      message = msg::make_message(command);
      message.data = BufferList(Buffer::copy_of(front));
    } else {
      message.version = static_cast<std::uint16_t>(byte(1) % 12);
      message.compat = 1;
      message.front = Buffer::copy_of(front);
    }
    message.tid = tid;
    if (from->closed()) from = all.peer(from->peer_name().type, "0", 2, "allow *");
    all.monitor->on_message(from, std::move(message));
    (void)co_await all.host.clock().sleep(std::chrono::milliseconds(byte(1) & 128 ? 2000 : 1));
    from->sent.clear();
    input = input.subspan(4 + size);
  }
  Buffer saved = all.monitor->state().save();
  auto again = State::load(saved);
  CHECK(again.has_value() && again->save() == saved, "what was decided is saved and loads the same");
}

}  // namespace
}  // namespace spirula::mon

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spirula;
  if (size < 2) return 0;
  log_set_level("", LogLevel::error);
  mon::TestMonitor all;
  all.run(mon::feed, all, std::as_bytes(std::span(data, size)));
  return 0;
}
