#include "appliance/admin_client.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <cstring>

#include "appliance/limits.h"

namespace spirula::appliance {
namespace {

struct Socket {
  int descriptor = -1;
  ~Socket() {
    if (descriptor >= 0) ::close(descriptor);
  }
};

Result<> read_all(int descriptor, char* into, std::size_t count) {
  while (count > 0) {
    ssize_t got = ::recv(descriptor, into, count, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN ? make_error_code(Errc::timed_out) : last_errno();
    if (got == 0) return Errc::closed;
    into += got;
    count -= static_cast<std::size_t>(got);
  }
  return {};
}

}  // namespace

Result<boost::json::value> ask_daemon(const std::string& socket_path, const std::string& command) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) return Errc::name_too_long;
  std::memcpy(address.sun_path, socket_path.data(), socket_path.size());
  Socket socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (socket.descriptor < 0) return last_errno();
  timeval patience{.tv_sec = 2, .tv_usec = 0};
  ::setsockopt(socket.descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(socket.descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (::connect(socket.descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return last_errno();
  std::string request = boost::json::serialize(boost::json::object{{"prefix", command}});
  request.push_back('\0');
  if (::send(socket.descriptor, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
    return Errc::closed;
  unsigned char head[4];
  TRY(read_all(socket.descriptor, reinterpret_cast<char*>(head), sizeof head));
  std::size_t size = std::size_t{head[0]} << 24 | std::size_t{head[1]} << 16 | std::size_t{head[2]} << 8 | head[3];
  if (size > limits::tool_output_bytes_max) return Errc::too_large;
  std::string text(size, '\0');
  TRY(read_all(socket.descriptor, text.data(), size));
  boost::system::error_code error;
  auto parsed = boost::json::parse(text, error);
  if (error) return Errc::malformed;
  return parsed;
}

}  // namespace spirula::appliance
