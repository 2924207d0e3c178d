#pragma once
#include <memory>

#include "appliance/http.h"
#include "base/net.h"
#include "base/shard.h"

namespace spirula::appliance {

struct TlsIdentity;

/// HTTP/1.1 over TLS (or plain, for the one page of port 80), bounded in every direction by limits.h. Lives on one
/// shard; the handler outlives it. stop() must complete before destruction.
class HttpServer {
 public:
  /// Listens at once. `identity` may be nullptr: plain HTTP. The error of bind() or of the identity.
  static Result<std::unique_ptr<HttpServer>> open(Shard& shard, Endpoint at, const TlsIdentity* identity,
                                                  HttpHandler& handler);
  ~HttpServer();
  Endpoint local() const;
  /// For connections from now on. Errc::invalid; the one before stays then.
  Result<> use(const TlsIdentity& identity);
  Task<> stop();

 private:
  HttpServer();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace spirula::appliance
