#include "maps/daemon_admin.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>

#include "base/coroutine.h"
#include "base/log.h"
#include "maps/daemon_link.h"
#include "msg/mon_messages.h"

namespace spirula::maps {
namespace json = boost::json;
using Arguments = msg::DaemonCommands::Arguments;

DaemonAdmin::DaemonAdmin(Shard& shard, Config& config) : shard_(shard), config_(config), tasks_(shard) {
  commands_.add("version", "", "get ceph version", [](Arguments) -> Task<Result<std::string>> {
    co_return json::serialize(json::object{{"version", version_text}});
  });
  commands_.add("config show", "", "dump current config settings", [this](Arguments) -> Task<Result<std::string>> {
    json::object all;
    for (const auto& [name, value] : config_.show()) all[name] = value;
    co_return json::serialize(all);
  });
  commands_.add("config get", "name=var,type=CephString", "config get <field>: get the config value",
                [this](Arguments arguments) -> Task<Result<std::string>> {
                  const std::string& name = arguments["var"];
                  if (!config_.knows(name)) co_return Errc::not_found;
                  co_return json::serialize(json::object{{name, config_.show()[name]}});
                });
  commands_.add("config set", "name=var,type=CephString name=val,type=CephString",
                "config set <field> <val>: set a config variable until the daemon ends",
                [this](Arguments arguments) -> Task<Result<std::string>> {
                  CO_TRY(config_.set(arguments["var"], arguments["val"]));
                  co_return json::serialize(json::object{{"success", ""}});
                });
}

void DaemonAdmin::open() {
  auto socket = msg::AdminSocket::open(shard_, config_.text("admin_socket"), commands_);
  if (socket)
    socket_ = std::move(*socket);
  else
    log_warning("admin", "no admin socket at {}: {}", config_.text("admin_socket"), socket.error().message());
}

void DaemonAdmin::on_command(const msg::ConnectionRef& connection, const msg::Message& message, bool allowed) {
  auto refuse = [&](int result, std::string text) {
    connection->send(msg::make_message(msg::CommandReply{.result = result, .text = std::move(text)}, message.tid));
  };
  if (!allowed) return refuse(-EACCES, "access denied: its key does not allow everything here");
  auto command = msg::read_message<msg::Command>(message);
  if (!command || command->command.empty()) {
    log_warning("admin", "{}: a command that does not decode", connection->describe());
    return refuse(-EINVAL, "a command is one JSON object");
  }
  shard_.post([this, connection, tid = message.tid, request = std::move(command->command.front())]() mutable {
    tasks_.spawn(answer(connection, tid, std::move(request)));
  });
}

Task<> DaemonAdmin::answer(msg::ConnectionRef connection, std::uint64_t tid, std::string request) {
  msg::DaemonCommands::Answer answer = co_await commands_.run(std::move(request));
  msg::CommandReply reply{.result = answer.result, .text = std::move(answer.text)};
  reply.data = BufferList(Buffer::copy_of(answer.output));
  connection->send(msg::make_message(reply, tid));
}

Task<> DaemonAdmin::stop() {
  if (socket_) co_await socket_->stop();
  co_await tasks_.stop();
}

}  // namespace spirula::maps
