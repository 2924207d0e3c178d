#include "appliance/router.h"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <fmt/format.h>

#include "appliance/limits.h"
#include "appliance/secrets.h"
#include "base/check.h"
#include "base/coroutine.h"

namespace spirula::appliance {
namespace json = boost::json;
namespace {

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> parts;
  for (std::size_t at = 1; at <= path.size();) {
    std::size_t end = std::min(path.find('/', at), path.size());
    parts.emplace_back(path.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

/// Percent-decoding; nothing for what does not decode, holds a control character or could be taken for a path.
std::optional<std::string> decode(std::string_view text) {
  std::string decoded;
  auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    char letter = text[i];
    if (letter == '%') {
      if (i + 2 >= text.size() || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0) return {};
      letter = static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    }
    if (static_cast<unsigned char>(letter) < 0x20 || letter == '/' || letter == '\\' || letter == 0x7f) return {};
    decoded += letter;
  }
  if (decoded.empty() || decoded == "." || decoded == "..") return {};
  return decoded;
}

/// Whether the path is the route's; fills in what its braces stand for.
bool match(const std::vector<std::string>& wanted, const std::vector<std::string>& given,
           std::vector<std::string>& parts) {
  parts.clear();
  if (wanted.size() != given.size()) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i].starts_with('{')) {
      if (wanted[i] != given[i]) return false;
      continue;
    }
    auto part = decode(given[i]);
    if (!part) return false;
    parts.push_back(std::move(*part));
  }
  return true;
}

std::string cookie_of(const HttpRequest& request) {
  std::string_view all = request.headers.contains("cookie") ? std::string_view(request.headers.at("cookie")) : "";
  while (!all.empty()) {
    std::string_view one = all.substr(0, all.find(';'));
    all.remove_prefix(std::min(one.size() + 1, all.size()));
    while (one.starts_with(' ')) one.remove_prefix(1);
    std::size_t equals = one.find('=');
    if (equals != one.npos && one.substr(0, equals) == session_cookie) return std::string(one.substr(equals + 1));
  }
  return {};
}

/// A page of another origin may not make a browser ask us anything.
bool from_elsewhere(const HttpRequest& request) {
  std::string site = request.header("sec-fetch-site");
  if (!site.empty() && site != "same-origin" && site != "none") return true;
  std::string origin = request.header("origin");
  if (origin.empty()) return false;
  return origin != "https://" + request.header("host");
}

}  // namespace

HttpResponse ok(const json::value& body) {
  return {.body = json::serialize(body)};
}

HttpResponse fail(int status, std::string_view code, std::string_view message) {
  return {.status = status, .body = json::serialize(json::object{{"error", {{"code", code}, {"message", message}}}})};
}

HttpResponse not_saved(std::error_code why) {
  return fail(507, "not_saved",
              fmt::format("The configuration could not be written ({}). Nothing was changed. Make room on the system "
                          "disk, then try again.",
                          why.message()));
}

std::pair<std::string, std::string> cookie_header(const std::string& token) {
  return {"Set-Cookie", fmt::format("{}={}; Path=/; Secure; HttpOnly; SameSite=Strict{}", session_cookie, token,
                                    token.empty() ? "; Max-Age=0" : "")};
}

std::optional<HttpResponse> Router::refuse(const Route& route, Call& call) {
  const HttpRequest& request = call.request;
  const bool changes = route.method != "GET";
  if (changes && from_elsewhere(request))
    return fail(403, "cross_site", "Another web page tried to do this. Open this box's own page and try there.");
  if (route.access == Access::metrics) {
    std::string bearer = request.header("authorization");
    if (bearer.starts_with("Bearer ") && metrics_token_fits && metrics_token_fits(bearer.substr(7))) return {};
  }
  if (route.access != Access::open) {
    std::string token = cookie_of(request);
    auto session = token.empty() ? std::nullopt : sessions_.find(token, shard_.clock().now());
    if (!session) return fail(401, "no_session", "You are not logged in, or were idle for too long. Log in again.");
    call.session = *session;
    if (changes && !equal_secrets(request.header("x-spirula-csrf"), session->csrf))
      return fail(403, "csrf", "This request did not come from this box's own page. Reload the page and try again.");
    if (route.access == Access::administrator && session->role != Role::administrator)
      return fail(403, "viewer", "This account may look, but not change anything. Ask an administrator of this box.");
  }
  if (!changes) return {};
  if (!request.body.empty()) {
    if (!request.header("content-type").starts_with("application/json"))
      return fail(415, "not_json", "Send the request's body as application/json.");
    boost::system::error_code error;
    json::parse_options options;
    options.max_depth = 8;
    json::value body = json::parse(request.body, error, {}, options);
    if (error || !body.is_object()) return fail(400, "bad_json", "The request's body is not a JSON object.");
    call.body = std::move(body.get_object());
  }
  return {};
}

Task<HttpResponse> Router::handle(HttpRequest request) {
  const std::vector<std::string> given = split(request.path);
  std::string allowed;
  for (const Route& route : routes_) {
    std::vector<std::string> parts;
    if (!match(split(route.path), given, parts)) continue;
    if (route.method != request.method) {
      allowed += (allowed.empty() ? "" : ", ") + route.method;
      continue;
    }
    Call call{.request = std::move(request), .parts = std::move(parts)};
    auto refusal = refuse(route, call);
    if (refusal) co_return std::move(*refusal);
    co_return co_await route.action(std::move(call));
  }
  if (!allowed.empty()) {
    HttpResponse response = fail(405, "method", "This cannot be done here.");
    response.headers.emplace_back("Allow", allowed);
    co_return response;
  }
  if ((request.method == "GET" || request.method == "HEAD") && page && !request.path.starts_with("/api/"))
    co_return page(request);
  co_return fail(404, "not_found", "There is nothing here.");
}

json::object Router::openapi() const {
  json::object paths;
  for (const Route& route : routes_) {
    json::object row{{"summary", route.summary}};
    json::array parameters;
    for (const std::string& part : split(route.path))
      if (part.starts_with('{'))
        parameters.push_back({{"name", part.substr(1, part.size() - 2)},
                              {"in", "path"},
                              {"required", true},
                              {"schema", {{"type", "string"}}}});
    if (!parameters.empty()) row["parameters"] = std::move(parameters);
    if (!route.body.empty()) {
      boost::system::error_code error;
      json::value schema = json::parse(route.body, error);
      CHECK(!error, "a route's schema is JSON");
      row["requestBody"] = {{"required", true}, {"content", {{"application/json", {{"schema", schema}}}}}};
    }
    json::object responses{{"200", {{"description", "done"}}}};
    if (route.access != Access::open) responses["401"] = {{"description", "no session"}};
    if (route.access == Access::administrator) responses["403"] = {{"description", "not an administrator"}};
    responses["default"] = {
        {"description", "refused: why, and what to do"},
        {"content", {{"application/json", {{"schema", {{"$ref", "#/components/schemas/Error"}}}}}}}};
    row["responses"] = std::move(responses);
    json::array security;
    if (route.access != Access::open) security.push_back({{"session", json::array{}}});
    if (route.access == Access::metrics) security.push_back({{"token", json::array{}}});
    row["security"] = std::move(security);
    std::string method = route.method;
    for (char& letter : method) letter = static_cast<char>(letter | 0x20);
    if (!paths.contains(route.path)) paths[route.path] = json::object{};
    paths[route.path].as_object()[method] = std::move(row);
  }
  json::value error_schema = {
      {"type", "object"},
      {"properties",
       {{"error",
         {{"type", "object"}, {"properties", {{"code", {{"type", "string"}}}, {"message", {{"type", "string"}}}}}}}}}};
  return {{"openapi", "3.0.3"},
          {"info",
           {{"title", "Spirula"},
            {"version", "1"},
            {"description",
             "Everything the page does. Requests that change something carry the session's word in X-Spirula-CSRF."}}},
          {"paths", std::move(paths)},
          {"components",
           {{"schemas", {{"Error", std::move(error_schema)}}},
            {"securitySchemes",
             {{"session", {{"type", "apiKey"}, {"in", "cookie"}, {"name", session_cookie}}},
              {"token", {{"type", "http"}, {"scheme", "bearer"}}}}}}}};
}

}  // namespace spirula::appliance
