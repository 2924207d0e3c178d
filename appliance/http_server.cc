#include "appliance/http_server.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <map>
#include <optional>

#include "appliance/limits.h"
#include "appliance/tls.h"
#include "base/coroutine.h"
#include "base/log.h"
#include "base/task_group.h"

namespace spirula::appliance {
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;

namespace {

constexpr auto wait = asio::as_tuple(asio::use_awaitable);

/// What every response carries: nothing is loaded from elsewhere, framed, sniffed or kept.
constexpr std::pair<const char*, const char*> common_headers[] = {
    {"Content-Security-Policy",
     "default-src 'self'; img-src 'self' data:; object-src 'none'; "
     "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
};

HttpRequest translate(http::request<http::string_body>&& from, std::string remote) {
  HttpRequest request;
  request.method = std::string(from.method_string());
  std::string target(from.target());
  request.path = target.substr(0, target.find('?'));
  for (const auto& field : from) {
    std::string name(field.name_string());
    for (char& letter : name) letter = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + 32) : letter;
    request.headers[name] = std::string(field.value());
  }
  request.body = std::move(from.body());
  request.remote = std::move(remote);
  return request;
}

template <class Message>
void decorate(Message& message, const HttpResponse& response) {
  for (auto [name, value] : common_headers) message.set(name, value);
  message.set(http::field::content_type, response.type);
  message.set(http::field::cache_control, "no-store");
  for (const auto& [name, value] : response.headers) {
    if (name == "Set-Cookie")
      message.insert(name, value);
    else
      message.set(name, value);
  }
}

HttpResponse refusal(int status, const char* message) {
  return {.status = status, .body = fmt::format(R"({{"error":{{"code":"http","message":"{}"}}}})", message)};
}

/// What to answer to a request that did not come whole; nothing for one that only ended or ran out of time.
std::optional<HttpResponse> refusal_for(beast::error_code error) {
  if (error == http::error::body_limit) return refusal(413, "The request is too large.");
  if (error == http::error::header_limit) return refusal(431, "The head of the request is too large.");
  if (error == http::error::end_of_stream || error == beast::error::timeout || error == asio::error::eof) return {};
  if (error.category() == make_error_code(http::error::bad_method).category())
    return refusal(400, "This is not a request.");
  return {};
}

}  // namespace

struct HttpServer::Impl {
  Impl(Shard& s, HttpHandler& h) : shard(s), handler(h), acceptor(s.context()), tasks(s) {}

  Shard& shard;
  HttpHandler& handler;
  tcp::acceptor acceptor;
  std::shared_ptr<asio::ssl::context> tls;  ///< nullptr: plain
  std::map<std::string, std::size_t> by_address;
  std::size_t connections = 0;
  TaskGroup tasks;

  Result<> listen(Endpoint at);
  Task<> accept_all();
  Task<> serve(tcp::socket socket, std::string remote);
  template <class Stream>
  Task<> converse(Stream& stream, std::string remote);
  template <class Stream>
  Task<bool> answer(Stream& stream, HttpResponse response, bool keep_alive, unsigned version, bool head);
  template <class Stream>
  Task<> drain(Stream& stream);
  template <class Stream>
  Task<> tell_events(Stream& stream, HttpResponse response);
};

Result<> HttpServer::Impl::listen(Endpoint at) {
  tcp::endpoint where;
  if (at.ipv6) {
    asio::ip::address_v6::bytes_type bytes;
    std::copy_n(at.address.begin(), 16, bytes.begin());
    where = {asio::ip::address_v6(bytes), at.port};
  } else {
    asio::ip::address_v4::bytes_type bytes;
    std::copy_n(at.address.begin(), 4, bytes.begin());
    where = {asio::ip::address_v4(bytes), at.port};
  }
  beast::error_code error;
  acceptor.open(where.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && at.ipv6) acceptor.set_option(asio::ip::v6_only(false), error);
  if (!error) acceptor.bind(where, error);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return from_errno(error.value());
  return {};
}

Task<> HttpServer::Impl::accept_all() {
  while (!tasks.cancelled()) {
    auto [error, socket] = co_await acceptor.async_accept(wait);
    if (tasks.cancelled() || error == asio::error::operation_aborted) co_return;
    if (error) {  // out of descriptors: pass the moment
      (void)co_await shard.clock().sleep(std::chrono::milliseconds(100));
      continue;
    }
    beast::error_code ignored;
    auto peer = socket.remote_endpoint(ignored);
    std::string remote = ignored ? std::string() : peer.address().to_string();
    if (connections >= limits::connections_max || by_address[remote] >= limits::connections_per_address_max) {
      log_warning("http", "too many connections, one from {} is closed", remote);
      if (!by_address[remote]) by_address.erase(remote);
      socket.close(ignored);
      continue;
    }
    ++connections;
    ++by_address[remote];
    tasks.spawn(serve(std::move(socket), remote));
  }
}

Task<> HttpServer::Impl::serve(tcp::socket socket, std::string remote) {
  socket.set_option(tcp::no_delay(true));
  if (auto context = tls) {
    beast::ssl_stream<beast::tcp_stream> stream(beast::tcp_stream(std::move(socket)), *context);
    beast::get_lowest_layer(stream).expires_after(limits::handshake_seconds_max);
    auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::server, wait);
    if (!error) co_await converse(stream, remote);
    if (!error && !tasks.cancelled()) {
      beast::get_lowest_layer(stream).expires_after(std::chrono::seconds(1));
      (void)co_await stream.async_shutdown(wait);
    }
  } else {
    beast::tcp_stream stream(std::move(socket));
    co_await converse(stream, remote);
  }
  --connections;
  if (--by_address[remote] == 0) by_address.erase(remote);
}

template <class Stream>
Task<> HttpServer::Impl::converse(Stream& stream, std::string remote) {
  beast::flat_buffer buffer(limits::header_bytes_max + limits::body_bytes_max);
  while (!tasks.cancelled()) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(limits::header_bytes_max);
    parser.body_limit(limits::body_bytes_max);
    // One deadline for the whole request, however slowly its bytes come.
    beast::get_lowest_layer(stream).expires_after(limits::request_seconds_max);
    auto [error, count] = co_await http::async_read(stream, buffer, parser, wait);
    if (error) {
      auto response = refusal_for(error);
      if (!response) co_return;
      (void)co_await answer(stream, std::move(*response), false, 11, false);
      co_await drain(stream);
      co_return;
    }
    auto message = parser.release();
    bool keep_alive = message.keep_alive(), head = message.method() == http::verb::head;
    unsigned version = message.version();
    beast::get_lowest_layer(stream).expires_never();
    HttpRequest request = translate(std::move(message), remote);
    HttpResponse response = co_await handler.handle(std::move(request));
    if (response.events) {
      co_await tell_events(stream, std::move(response));
      co_return;
    }
    bool go_on = co_await answer(stream, std::move(response), keep_alive, version, head);
    if (!go_on) co_return;
  }
}

template <class Stream>
Task<bool> HttpServer::Impl::answer(Stream& stream, HttpResponse response, bool keep_alive, unsigned version,
                                    bool head) {
  http::response<http::string_body> message{static_cast<http::status>(response.status), version};
  decorate(message, response);
  message.keep_alive(keep_alive);
  message.body() = std::move(response.body);
  message.prepare_payload();
  if (head) message.body().clear();
  beast::get_lowest_layer(stream).expires_after(limits::response_seconds_max);
  auto [error, count] = co_await http::async_write(stream, message, wait);
  co_return !error && keep_alive;
}

/// Some of what a refused client is still sending: closing over it would reset the connection, and the refusal with it.
template <class Stream>
Task<> HttpServer::Impl::drain(Stream& stream) {
  char piece[4096];
  std::size_t drained = 0;
  beast::get_lowest_layer(stream).expires_after(limits::drain_seconds_max);
  while (drained < limits::drain_bytes_max) {
    auto [error, count] = co_await stream.async_read_some(asio::buffer(piece), wait);
    if (error) co_return;
    drained += count;
  }
}

template <class Stream>
Task<> HttpServer::Impl::tell_events(Stream& stream, HttpResponse response) {
  http::response<http::empty_body> message{http::status::ok, 11};
  decorate(message, response);
  message.keep_alive(false);
  http::response_serializer<http::empty_body> serializer(message);
  beast::get_lowest_layer(stream).expires_after(limits::response_seconds_max);
  auto [error, count] = co_await http::async_write_header(stream, serializer, wait);
  while (!error && !tasks.cancelled()) {
    beast::get_lowest_layer(stream).expires_never();
    Result<std::string> text = co_await response.events->next();
    if (!text || tasks.cancelled()) break;
    beast::get_lowest_layer(stream).expires_after(limits::response_seconds_max);
    auto [broken, written] = co_await asio::async_write(stream, asio::buffer(*text), wait);
    error = broken;
  }
}

HttpServer::HttpServer() = default;
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::open(Shard& shard, Endpoint at, const TlsIdentity* identity,
                                                     HttpHandler& handler) {
  std::unique_ptr<HttpServer> server(new HttpServer);
  server->impl_ = std::make_unique<Impl>(shard, handler);
  Impl& impl = *server->impl_;
  if (identity) TRY(server->use(*identity));
  TRY(impl.listen(at));
  impl.tasks.spawn(impl.accept_all());
  return server;
}

Result<> HttpServer::use(const TlsIdentity& identity) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  beast::error_code error;
  context->set_options(asio::ssl::context::default_workarounds | asio::ssl::context::no_tlsv1 |
                       asio::ssl::context::no_tlsv1_1 | asio::ssl::context::no_compression);
  context->use_certificate_chain(asio::buffer(identity.certificate_pem), error);
  if (error) return Errc::invalid;
  context->use_private_key(asio::buffer(identity.key_pem), asio::ssl::context::pem, error);
  if (error) return Errc::invalid;
  impl_->tls = std::move(context);
  return {};
}

Endpoint HttpServer::local() const {
  beast::error_code error;
  auto where = impl_->acceptor.local_endpoint(error);
  Endpoint at;
  at.ipv6 = where.address().is_v6();
  if (at.ipv6)
    std::ranges::copy(where.address().to_v6().to_bytes(), at.address.begin());
  else
    std::ranges::copy(where.address().to_v4().to_bytes(), at.address.begin());
  at.port = where.port();
  return at;
}

Task<> HttpServer::stop() {
  beast::error_code ignored;
  impl_->acceptor.close(ignored);
  co_await impl_->tasks.stop();
}

}  // namespace spirula::appliance
