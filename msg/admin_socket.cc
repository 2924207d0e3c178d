#include "msg/admin_socket.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>

#include "base/coroutine.h"
#include "base/json.h"
#include "base/log.h"
#include "base/task_group.h"

namespace spirula::msg {
namespace json = boost::json;

namespace {
constexpr std::size_t request_bytes_max = 64 << 10;
constexpr Duration request_timeout = std::chrono::seconds(10);
constexpr std::size_t peers_max = 16;  ///< at once

std::string as_argument(const json::value& value) {
  if (value.is_string()) return std::string(value.as_string());
  if (value.is_array()) {
    std::string text;
    for (const json::value& element : value.as_array()) text += (text.empty() ? "" : " ") + as_argument(element);
    return text;
  }
  return json::serialize(value);
}
}  // namespace

struct AdminSocket::Command {
  std::string arguments, help;
  Handler handler;
};

AdminSocket::AdminSocket(Shard& shard, std::string path)
    : shard_(shard), path_(std::move(path)), tasks_(std::make_unique<TaskGroup>(shard)) {}
AdminSocket::~AdminSocket() = default;

Result<std::unique_ptr<AdminSocket>> AdminSocket::open(Shard& shard, std::string path) {
  std::unique_ptr<AdminSocket> socket(new AdminSocket(shard, std::move(path)));
  TRY(socket->listener_, shard.network().listen_unix(shard, socket->path_));
  if (chmod(socket->path_.c_str(), 0700) != 0) return last_errno();  // whoever connects commands the daemon
  socket->tasks_->spawn(socket->serve());
  return socket;
}

void AdminSocket::add(std::string command, std::string arguments, std::string help, Handler handler) {
  commands_[std::move(command)] =
      std::make_unique<Command>(Command{std::move(arguments), std::move(help), std::move(handler)});
}

Task<> AdminSocket::stop() {
  listener_->close();
  unlink(path_.c_str());
  co_await tasks_->stop();
}

Task<> AdminSocket::serve() {
  while (true) {
    auto stream = co_await listener_->accept(shard_);
    if (!stream) {
      if (stream.error() == make_error_code(Errc::cancelled)) co_return;
      if (!co_await shard_.clock().sleep(std::chrono::milliseconds(100))) co_return;
      continue;
    }
    if (tasks_->size() <= peers_max) tasks_->spawn(serve_one(std::move(*stream)));
  }
}

/// One command a connection, as the stock tool makes them.
Task<> AdminSocket::serve_one(std::unique_ptr<Stream> stream) {
  Stream& peer = *stream;
  auto deadline = shard_.clock().call_after(request_timeout, [&peer] { peer.close(); });
  std::string request;
  std::byte part[4096];
  while (request.find('\0') == request.npos && request.size() <= request_bytes_max) {
    auto got = co_await peer.read_some(part);
    if (!got) break;
    request.append(reinterpret_cast<const char*>(part), *got);
  }
  shard_.clock().cancel(deadline);
  auto end = request.find('\0');
  if (end == request.npos) co_return;
  request.resize(end);
  // The protocol's version, in the days before JSON.
  std::string reply;
  if (request == "0")
    reply = "2";
  else
    reply = co_await run(std::move(request));
  auto size = static_cast<std::uint32_t>(reply.size());
  std::byte header[4] = {std::byte(size >> 24), std::byte(size >> 16 & 255), std::byte(size >> 8 & 255),
                         std::byte(size & 255)};
  ByteView pieces[] = {ByteView(header), as_bytes(reply)};
  Result<> written = co_await peer.write(pieces);
  if (!written) log_debug("admin", "{}: the reply could not be written", path_);
  peer.close();
}

Task<std::string> AdminSocket::run(std::string request) {
  boost::system::error_code malformed;
  json::value parsed = json::parse(request, malformed);
  Arguments arguments;
  if (!malformed && parsed.is_object())
    for (const auto& [name, value] : parsed.as_object()) arguments[std::string(name)] = as_argument(value);
  std::string prefix = malformed ? request : arguments["prefix"];
  const std::string format = arguments["format"];
  if (prefix == "get_command_descriptions") co_return descriptions();
  if (prefix == "help") co_return shape_json(help(), format);
  auto it = commands_.find(prefix);
  if (it == commands_.end()) co_return fmt::format("ERROR: (22) unknown command '{}'\n", prefix);
  Result<std::string> text = co_await it->second->handler(std::move(arguments));
  if (!text) co_return fmt::format("ERROR: ({}) {}\n", -to_wire(text.error()), text.error().message());
  co_return shape_json(*std::move(text), format);
}

std::string AdminSocket::help() const {
  json::object all;
  all["help"] = "list available commands";
  all["get_command_descriptions"] = "list available commands and their arguments";
  for (const auto& [name, command] : commands_) all[name] = command->help;
  return json::serialize(all);
}

/// As the `ceph` tool reads them: {"cmd000": {"sig": ["perf", "dump", {"name": ..}], "help": ..}, ...}.
std::string AdminSocket::descriptions() const {
  json::object all;
  auto describe = [&](std::string_view name, std::string_view arguments, std::string_view help) {
    json::array signature;
    auto words = [](std::string_view text, char separator, auto&& each) {
      while (!text.empty()) {
        auto end = text.find(separator);
        if (end != 0) each(text.substr(0, end));
        text = end == text.npos ? std::string_view() : text.substr(end + 1);
      }
    };
    words(name, ' ', [&](std::string_view word) { signature.emplace_back(word); });
    words(arguments, ' ', [&](std::string_view argument) {
      json::object description;
      words(argument, ',', [&](std::string_view part) {
        auto equals = part.find('=');
        if (equals != part.npos) description[part.substr(0, equals)] = part.substr(equals + 1);
      });
      signature.emplace_back(std::move(description));
    });
    json::object entry;
    entry["sig"] = std::move(signature);
    entry["help"] = help;
    entry["module"] = entry["perm"] = "";
    entry["flags"] = 0;
    all[fmt::format("cmd{:03}", all.size())] = std::move(entry);
  };
  describe("help", "", "list available commands");
  describe("get_command_descriptions", "", "list available commands and their arguments");
  for (const auto& [name, command] : commands_) describe(name, command->arguments, command->help);
  return json::serialize(all);
}

}  // namespace spirula::msg
