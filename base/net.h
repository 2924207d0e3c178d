#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "base/result.h"
#include "base/task.h"

namespace spirula {

class Shard;

/// An IP address and a TCP port.
struct Endpoint {
  bool ipv6 = false;
  std::array<std::uint8_t, 16> address{};  ///< network order; an IPv4 address fills the first four
  std::uint16_t port = 0;

  /// "1.2.3.4:3300", "[::1]:3300"; the port may be missing (0). Errc::invalid.
  static Result<Endpoint> parse(std::string_view text);
  std::string describe() const;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

/// One connected byte stream. Lives on the shard it was made for. At most one read and one write at a time.
class Stream {
 public:
  virtual ~Stream() = default;
  /// At least one byte; Errc::closed at the end of the stream.
  virtual Task<Result<std::size_t>> read_some(std::span<std::byte> into) = 0;
  /// So many bytes more are certain to come: a read that waits need not be woken for fewer. Holds until said otherwise.
  virtual void expect(std::size_t) {}
  /// All of it, gathered. The bytes must stay until it returns.
  virtual Task<Result<>> write(std::span<const ByteView> pieces) = 0;
  /// As much of it as goes out without waiting, possibly nothing; never while a write() is under way.
  virtual Result<std::size_t> try_write(std::span<const ByteView>) { return std::size_t{0}; }
  /// Ends pending reads and writes with an error. Idempotent.
  virtual void close() = 0;
  /// The same stream, to live on `home`; this object is spent. Nobody may be reading or writing.
  virtual std::unique_ptr<Stream> move_to(Shard& home) = 0;
  virtual Endpoint local() const = 0;
  virtual Endpoint remote() const = 0;

  /// Exactly into.size() bytes.
  Task<Result<>> read_exact(std::span<std::byte> into);
};

class Listener {
 public:
  virtual ~Listener() = default;
  /// The next connection, to live on `home`.
  virtual Task<Result<std::unique_ptr<Stream>>> accept(Shard& home) = 0;
  virtual void close() = 0;
  virtual Endpoint local() const = 0;
};

/// The only way to the network. Called on the shard that will own what it returns.
class Network {
 public:
  virtual ~Network() = default;
  virtual Task<Result<std::unique_ptr<Stream>>> connect(Shard& home, Endpoint to) = 0;
  /// Port 0 picks a free one. Errc of bind or listen otherwise.
  virtual Result<std::unique_ptr<Listener>> listen(Shard& home, Endpoint at) = 0;
  /// A unix stream socket; a stale file at `path` is replaced.
  virtual Result<std::unique_ptr<Listener>> listen_unix(Shard& home, const std::string& path) = 0;
};

/// Kernel TCP (TCP_NODELAY) and unix sockets.
Network& system_network();

}  // namespace spirula
