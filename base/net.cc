#include "base/net.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <vector>

#include "base/coroutine.h"
#include "base/shard.h"

namespace spirula {
namespace asio = boost::asio;
using asio::ip::tcp;
using asio::local::stream_protocol;

namespace {

constexpr auto use_tuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t write_bytes_max = 16 << 20;  ///< of one system call
/// A read waits for no more than this, of what a receive buffer may grow to (tcp_rmem: 6 MiB).
constexpr std::size_t expected_bytes_max = 128 << 10;

std::error_code translate(const boost::system::error_code& error) {
  if (!error) return {};
  if (error == asio::error::eof) return make_error_code(Errc::closed);
  if (error == asio::error::operation_aborted) return make_error_code(Errc::cancelled);
  return static_cast<std::error_code>(error);
}

Endpoint from_asio(const tcp::endpoint& at) {
  Endpoint endpoint;
  endpoint.port = at.port();
  endpoint.ipv6 = at.address().is_v6();
  if (endpoint.ipv6) {
    auto bytes = at.address().to_v6().to_bytes();
    std::copy(bytes.begin(), bytes.end(), endpoint.address.begin());
  } else {
    auto bytes = at.address().to_v4().to_bytes();
    std::copy(bytes.begin(), bytes.end(), endpoint.address.begin());
  }
  return endpoint;
}
Endpoint from_asio(const stream_protocol::endpoint&) {
  return {};
}

tcp::endpoint to_asio(const Endpoint& endpoint) {
  if (endpoint.ipv6) return {asio::ip::address_v6(endpoint.address), endpoint.port};
  asio::ip::address_v4::bytes_type bytes;
  std::copy_n(endpoint.address.begin(), 4, bytes.begin());
  return {asio::ip::address_v4(bytes), endpoint.port};
}

template <class Protocol>
class SocketStream : public Stream {
 public:
  explicit SocketStream(typename Protocol::socket socket) : socket_(std::move(socket)) {
    boost::system::error_code ignored;
    if constexpr (std::is_same_v<Protocol, tcp>) socket_.set_option(tcp::no_delay(true), ignored);
    auto local = socket_.local_endpoint(ignored);
    local_ = from_asio(local);
    auto remote = socket_.remote_endpoint(ignored);
    remote_ = from_asio(remote);
  }

  Task<Result<std::size_t>> read_some(std::span<std::byte> into) override {
    auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none) co_return Errc::cancelled;
    auto [error, count] = co_await socket_.async_read_some(asio::buffer(into.data(), into.size()), use_tuple);
    if (error) co_return translate(error);
    co_return count;
  }

  void expect(std::size_t bytes) override {
    int fewest = static_cast<int>(std::clamp<std::size_t>(bytes, 1, expected_bytes_max));
    if (fewest == fewest_) return;
    fewest_ = fewest;
    // Linux signals here that there are enough now, if there are: an edge for the event loop is never missed.
    setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVLOWAT, &fewest, sizeof fewest);
  }

  Task<Result<>> write(std::span<const ByteView> pieces) override {
    auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none) co_return Errc::cancelled;
    std::vector<asio::const_buffer> buffers;
    buffers.reserve(pieces.size());
    for (ByteView piece : pieces) buffers.emplace_back(piece.data(), piece.size());
    // Asio's own condition would hand the kernel 64 KiB at a time.
    auto everything = [](const boost::system::error_code& failed, std::size_t) -> std::size_t {
      return failed ? 0 : write_bytes_max;
    };
    auto [error, count] = co_await asio::async_write(socket_, buffers, everything, use_tuple);
    if (error) co_return translate(error);
    co_return Result<>{};
  }

  Result<std::size_t> try_write(std::span<const ByteView> pieces) override {
    std::array<iovec, 64> parts;
    std::size_t count = std::min(pieces.size(), parts.size());
    for (std::size_t i = 0; i < count; ++i) parts[i] = {const_cast<std::byte*>(pieces[i].data()), pieces[i].size()};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    ssize_t written = ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written >= 0) return static_cast<std::size_t>(written);
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return std::size_t{0};
    return last_errno();
  }

  void close() override {
    boost::system::error_code ignored;
    socket_.shutdown(Protocol::socket::shutdown_both, ignored);
    socket_.close(ignored);
  }
  std::unique_ptr<Stream> move_to(Shard& home) override {
    boost::system::error_code error;
    Protocol protocol = socket_.local_endpoint(error).protocol();
    auto descriptor = error ? -1 : socket_.release(error);
    typename Protocol::socket moved(home.context());
    if (!error) moved.assign(protocol, descriptor, error);
    return std::make_unique<SocketStream>(std::move(moved), local_, remote_);
  }
  Endpoint local() const override { return local_; }
  Endpoint remote() const override { return remote_; }

  SocketStream(typename Protocol::socket socket, Endpoint local, Endpoint remote)
      : socket_(std::move(socket)), local_(local), remote_(remote) {}

 private:
  typename Protocol::socket socket_;
  Endpoint local_, remote_;
  int fewest_ = 1;  ///< SO_RCVLOWAT: bytes that wake a read
};

template <class Protocol>
class SocketListener : public Listener {
 public:
  explicit SocketListener(typename Protocol::acceptor acceptor) : acceptor_(std::move(acceptor)) {
    boost::system::error_code ignored;
    local_ = from_asio(acceptor_.local_endpoint(ignored));
  }
  Task<Result<std::unique_ptr<Stream>>> accept(Shard& home) override {
    auto cancellation = co_await asio::this_coro::cancellation_state;
    if (cancellation.cancelled() != asio::cancellation_type::none) co_return Errc::cancelled;
    auto [error, socket] = co_await acceptor_.async_accept(home.context(), use_tuple);
    if (error) co_return translate(error);
    co_return std::make_unique<SocketStream<Protocol>>(std::move(socket));
  }
  void close() override {
    boost::system::error_code ignored;
    acceptor_.close(ignored);
  }
  Endpoint local() const override { return local_; }

 private:
  typename Protocol::acceptor acceptor_;
  Endpoint local_;
};

template <class Protocol>
Result<std::unique_ptr<Listener>> open_listener(Shard& home, const typename Protocol::endpoint& at) {
  boost::system::error_code error;
  typename Protocol::acceptor acceptor(home.context());
  acceptor.open(at.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(at, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return static_cast<std::error_code>(error);
  return std::make_unique<SocketListener<Protocol>>(std::move(acceptor));
}

class KernelNetwork : public Network {
 public:
  Task<Result<std::unique_ptr<Stream>>> connect(Shard& home, Endpoint to) override {
    tcp::socket socket(home.context());
    auto [error] = co_await socket.async_connect(to_asio(to), use_tuple);
    if (error) co_return translate(error);
    co_return std::make_unique<SocketStream<tcp>>(std::move(socket));
  }
  Result<std::unique_ptr<Listener>> listen(Shard& home, Endpoint at) override {
    return open_listener<tcp>(home, to_asio(at));
  }
  Result<std::unique_ptr<Listener>> listen_unix(Shard& home, const std::string& path) override {
    if (path.size() >= sizeof(sockaddr_un::sun_path)) return Errc::name_too_long;
    unlink(path.c_str());
    return open_listener<stream_protocol>(home, stream_protocol::endpoint(path));
  }
};

}  // namespace

Network& system_network() {
  static KernelNetwork instance;
  return instance;
}

Task<Result<>> Stream::read_exact(std::span<std::byte> into) {
  while (!into.empty()) {
    CO_TRY(std::size_t got, co_await read_some(into));
    into = into.subspan(got);
  }
  co_return Result<>{};
}

Result<Endpoint> Endpoint::parse(std::string_view text) {
  Endpoint endpoint;
  std::string_view host = text, port;
  if (text.starts_with('[')) {
    auto close = text.find(']');
    if (close == text.npos) return Errc::invalid;
    host = text.substr(1, close - 1);
    endpoint.ipv6 = true;
    port = text.substr(close + 1);
    if (!port.empty() && !port.starts_with(':')) return Errc::invalid;
    if (!port.empty()) port.remove_prefix(1);
  } else if (auto colon = text.find(':'); colon != text.npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
  }
  if (inet_pton(endpoint.ipv6 ? AF_INET6 : AF_INET, std::string(host).c_str(), endpoint.address.data()) != 1)
    return Errc::invalid;
  if (!port.empty()) {
    auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), endpoint.port);
    if (error != std::errc{} || end != port.data() + port.size()) return Errc::invalid;
  }
  return endpoint;
}

std::string Endpoint::describe() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(ipv6 ? AF_INET6 : AF_INET, address.data(), text, sizeof text);
  return ipv6 ? fmt::format("[{}]:{}", text, port) : fmt::format("{}:{}", text, port);
}

}  // namespace spirula
