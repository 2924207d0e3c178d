#include "msg/admin_socket.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/coroutine.h"
#include "base/log.h"
#include "base/task_group.h"

namespace spirula::msg {
namespace {
constexpr std::size_t request_bytes_max = 64 << 10;
constexpr Duration request_timeout = std::chrono::seconds(10);
constexpr std::size_t peers_max = 16;  ///< at once

}  // namespace

AdminSocket::AdminSocket(Shard& shard, std::string path, DaemonCommands& commands)
    : shard_(shard), path_(std::move(path)), commands_(commands), tasks_(std::make_unique<TaskGroup>(shard)) {}
AdminSocket::~AdminSocket() = default;

Result<std::unique_ptr<AdminSocket>> AdminSocket::open(Shard& shard, std::string path, DaemonCommands& commands) {
  if (path.empty()) return std::unique_ptr<AdminSocket>();
  std::unique_ptr<AdminSocket> socket(new AdminSocket(shard, std::move(path), commands));
  TRY(socket->listener_, shard.network().listen_unix(shard, socket->path_));
  if (chmod(socket->path_.c_str(), 0700) != 0) return last_errno();  // whoever connects commands the daemon
  socket->tasks_->spawn(socket->serve());
  return socket;
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
  if (request == "0") {
    reply = "2";
  } else {
    DaemonCommands::Answer answer = co_await commands_.run(std::move(request));
    reply = answer.result < 0 ? fmt::format("ERROR: ({}) {}\n", -answer.result, answer.text) : std::move(answer.output);
  }
  auto size = static_cast<std::uint32_t>(reply.size());
  std::byte header[4] = {std::byte(size >> 24), std::byte(size >> 16 & 255), std::byte(size >> 8 & 255),
                         std::byte(size & 255)};
  ByteView pieces[] = {ByteView(header), as_bytes(reply)};
  Result<> written = co_await peer.write(pieces);
  if (!written) log_debug("admin", "{}: the reply could not be written", path_);
  peer.close();
}

}  // namespace spirula::msg
