#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/task.h"

namespace spirula::appliance {

/// One request as it came, within limits.h. Nothing in it is to be trusted.
struct HttpRequest {
  std::string method;
  std::string path;                            ///< before the '?', still percent-encoded
  std::map<std::string, std::string> headers;  ///< names in lower case; of repeated ones the last
  std::string body;
  std::string remote;  ///< the address without its port

  std::string header(const std::string& name) const {
    auto at = headers.find(name);
    return at == headers.end() ? std::string() : at->second;
  }
};

/// Server-sent events. next() gives the next bytes of the stream; an error ends it.
class EventSource {
 public:
  virtual ~EventSource() = default;
  virtual Task<Result<std::string>> next() = 0;
};

struct HttpResponse {
  int status = 200;
  std::string type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::shared_ptr<EventSource> events;  ///< instead of a body
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  virtual Task<HttpResponse> handle(HttpRequest request) = 0;
};

}  // namespace spirula::appliance
