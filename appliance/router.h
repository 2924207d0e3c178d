#pragma once
#include <boost/json/object.hpp>
#include <functional>
#include <string>
#include <vector>

#include "appliance/accounts.h"
#include "appliance/http.h"
#include "base/shard.h"

namespace spirula::appliance {

/// A request that was let in, taken apart.
struct Call {
  HttpRequest request;
  std::vector<std::string> parts;  ///< what stood in the braces of the route's path, decoded
  boost::json::object body;
  Session session;  ///< whose call it is; blank on an open route
};

enum class Access {
  open,           ///< anybody; still no other site's page
  viewer,         ///< any account's session, and its CSRF word where something changes
  administrator,  ///< the same, of an administrator
  metrics,        ///< any account's session, or the metrics token as `Authorization: Bearer`
};

/// One row of the API: what is served and what the OpenAPI document says about it.
struct Route {
  std::string method;  ///< GET, POST, PUT, DELETE
  std::string path;    ///< "/api/v1/jobs/{id}"
  Access access = Access::administrator;
  std::string summary;
  std::string body;  ///< the JSON schema of the body; empty: none is expected
  std::function<Task<HttpResponse>(Call)> action;
};

/// What a route does, from a member function.
template <class Api>
std::function<Task<HttpResponse>(Call)> action(Api* api, Task<HttpResponse> (Api::*method)(Call)) {
  return [api, method](Call call) { return (api->*method)(std::move(call)); };
}

HttpResponse ok(const boost::json::value& body);
/// {"error": {"code", "message"}}: the code is for programs, the message says what to do.
HttpResponse fail(int status, std::string_view code, std::string_view message);
/// What was decided could not be written, for this reason; all is as before.
HttpResponse not_saved(std::error_code why);

/// Finds the row for a request, checks who asks, and answers everything else itself. Lives on one shard.
class Router : public HttpHandler {
 public:
  Router(Shard& shard, Sessions& sessions) : shard_(shard), sessions_(sessions) {}
  void add(Route route) { routes_.push_back(std::move(route)); }
  /// Answers GET requests for paths outside the API; none: 404.
  std::function<HttpResponse(const HttpRequest&)> page;
  /// Whether a bearer token is the metrics token.
  std::function<bool(const std::string&)> metrics_token_fits;

  Task<HttpResponse> handle(HttpRequest request) override;
  boost::json::object openapi() const;
  const std::vector<Route>& routes() const { return routes_; }

 private:
  /// A refusal, or nothing: the call may go on (and its session is filled in).
  std::optional<HttpResponse> refuse(const Route& route, Call& call);
  Shard& shard_;
  Sessions& sessions_;
  std::vector<Route> routes_;
};

inline constexpr const char* session_cookie = "__Host-spirula";
/// The Set-Cookie header for a session's token; an empty token takes the cookie away.
std::pair<std::string, std::string> cookie_header(const std::string& token);

}  // namespace spirula::appliance
