#include "appliance/access_api.h"

#include <unistd.h>

#include <fmt/format.h>
#include <algorithm>
#include <boost/json/array.hpp>

#include "appliance/files.h"
#include "appliance/json_read.h"
#include "appliance/limits.h"
#include "appliance/secrets.h"
#include "base/coroutine.h"
#include "base/log.h"

namespace spirula::appliance {
namespace json = boost::json;
namespace {

constexpr const char* claim_schema =
    R"({"type":"object","required":["code","password"],"properties":{"code":{"type":"string","description":"as the console shows it"},"password":{"type":"string","minLength":10,"maxLength":256}}})";
constexpr const char* login_schema =
    R"({"type":"object","required":["password"],"properties":{"name":{"type":"string","default":"owner"},"password":{"type":"string"},"code":{"type":"string","description":"of the authenticator, or a recovery code; where a second factor is on"}}})";
constexpr const char* confirm_schema =
    R"({"type":"object","required":["password"],"properties":{"password":{"type":"string"}}})";
constexpr const char* code_schema = R"({"type":"object","required":["code"],"properties":{"code":{"type":"string"}}})";
constexpr const char* password_schema =
    R"({"type":"object","required":["old","new"],"properties":{"old":{"type":"string"},"new":{"type":"string","minLength":10,"maxLength":256}}})";

std::optional<HttpResponse> refuse_password(const std::string& password) {
  std::string problem = problem_with_password(password);
  if (problem.empty()) return {};
  return fail(422, password.size() < limits::password_bytes_min ? "short_password" : "long_password", problem);
}

/// One's own, and an administrator everybody's.
bool may_see(const Call& call, const Session& session) {
  return call.session.role == Role::administrator || call.session.account == session.account;
}

json::object about(const Session& session) {
  return {{"id", session.id}, {"account", session.account}, {"role", name_of(session.role)}, {"csrf", session.csrf}};
}

std::int64_t seconds_ago(MonotonicTime then, MonotonicTime now) {
  return std::chrono::duration_cast<std::chrono::seconds>(now - then).count();
}

}  // namespace

AccessApi::AccessApi(Shard& shard, DocumentStore& documents, Sessions& sessions, BlockingPool& workers,
                     Metrics& metrics, std::string folder)
    : shard_(shard),
      documents_(documents),
      sessions_(sessions),
      workers_(workers),
      folder_(std::move(folder)),
      second_(documents),
      logins_(metrics.counter("page", "logins", "sessions opened with the right password")),
      guesses_(metrics.counter("page", "wrong_passwords", "wrong passwords and claim codes")) {}

Result<std::unique_ptr<AccessApi>> AccessApi::open(Shard& shard, DocumentStore& documents, Sessions& sessions,
                                                   BlockingPool& workers, Metrics& metrics, std::string folder) {
  std::unique_ptr<AccessApi> api(new AccessApi(shard, documents, sessions, workers, metrics, std::move(folder)));
  if (documents.current().claimed()) return api;
  const std::string path = api->folder_ + "/claim-code";
  auto kept = read_file(path, 64);
  if (kept && normalize_claim_code(*kept).size() >= claim_code_letters_min) {
    api->claim_code_ = kept->substr(0, kept->find('\n'));
    return api;
  }
  api->claim_code_ = make_claim_code();
  TRY(write_file(path, api->claim_code_ + "\n", 0600));
  return api;
}

void AccessApi::add_to(Router& router) {
  router.add({"GET", "/api/v1/state", Access::open, "what anybody may know: whether the box is claimed, its clock", "",
              action(this, &AccessApi::get_state)});
  router.add({"POST", "/api/v1/claim", Access::open, "make the box yours, with the code that its console shows",
              claim_schema, action(this, &AccessApi::claim)});
  router.add({"POST", "/api/v1/session", Access::open, "log in", login_schema, action(this, &AccessApi::log_in)});
  router.add({"GET", "/api/v1/session", Access::viewer, "this session: whose it is, and its CSRF word", "",
              action(this, &AccessApi::get_session)});
  router.add({"DELETE", "/api/v1/session", Access::viewer, "log out", "", action(this, &AccessApi::log_out)});
  router.add({"GET", "/api/v1/sessions", Access::viewer, "who is logged in; of others an administrator only sees", "",
              action(this, &AccessApi::list_sessions)});
  router.add({"DELETE", "/api/v1/sessions/{id}", Access::viewer, "log somebody out", "",
              action(this, &AccessApi::end_session)});
  router.add({"PUT", "/api/v1/password", Access::viewer, "change one's password; one's other sessions end",
              password_schema, action(this, &AccessApi::change_password)});
  router.add({"GET", "/api/v1/second-factor", Access::viewer, "whether a code is asked besides the password", "",
              action(this, &AccessApi::get_second_factor)});
  router.add({"POST", "/api/v1/second-factor", Access::viewer, "a new key for an authenticator; changes nothing yet",
              confirm_schema, action(this, &AccessApi::begin_second_factor)});
  router.add({"PUT", "/api/v1/second-factor", Access::viewer,
              "ask for codes of that key from now on; answers with the recovery codes, once", code_schema,
              action(this, &AccessApi::finish_second_factor)});
  router.add({"POST", "/api/v1/second-factor/end", Access::viewer, "let the password be enough again", confirm_schema,
              action(this, &AccessApi::end_second_factor)});
  router.add({"POST", "/api/v1/metrics-token", Access::administrator,
              "make a new token for /metrics, shown once; the one before it stops working", "",
              action(this, &AccessApi::make_metrics_token)});
  router.metrics_token_fits = [this](const std::string& token) { return metrics_token_fits(token); };
}

bool AccessApi::metrics_token_fits(const std::string& token) const {
  const std::string& hash = documents_.current().metrics_token_hash;
  return !hash.empty() && equal_secrets(sha256_hex(token), hash);
}

GuessDelays& AccessApi::delays_of(const std::string& account) {
  const Document& document = documents_.current();
  if (delays_.size() > 2 * limits::accounts_max)
    std::erase_if(delays_, [&](const auto& each) { return !document.account(each.first); });
  return delays_[document.account(account) ? account : ""];
}

std::optional<HttpResponse> AccessApi::refuse_guess(const Call& call, const std::string& account) {
  Duration wait = delays_of(account).wait_for(call.request.remote, shard_.clock().now());
  if (checking_) wait = std::max<Duration>(wait, std::chrono::seconds(1));
  if (wait == Duration::zero()) return {};
  auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
  HttpResponse response = fail(429, "wait", fmt::format("Too many attempts. Try again in {} seconds.", seconds));
  response.headers.emplace_back("Retry-After", fmt::format("{}", seconds));
  return response;
}

HttpResponse AccessApi::wrong_guess(const Call& call, const std::string& account, std::string_view code,
                                    std::string_view message) {
  guesses_.add();
  delays_of(account).wrong(call.request.remote, shard_.clock().now());
  log_warning("page", "a wrong password or claim code from {}", call.request.remote);
  return fail(401, code, message);
}

HttpResponse AccessApi::opened(const Call& call, const AccountRecord& account) {
  delays_of(account.name).right(call.request.remote);
  logins_.add();
  auto session = sessions_.open(call.request.remote, account, shard_.clock().now());
  log_info("page", "a session of {} from {} begins", account.name, call.request.remote);
  HttpResponse response = ok(about(session.session));
  response.headers.push_back(cookie_header(session.token));
  return response;
}

Task<Result<std::string>> AccessApi::hash(std::string password) {
  Result<std::string> hashed = Errc::cancelled;
  co_await workers_.run([&] { hashed = hash_password(password); });
  co_return hashed;
}

Task<bool> AccessApi::verify(std::string account, std::string password) {
  bool right = false;
  const Document& document = documents_.current();
  if (!document.claimed()) co_return false;
  const AccountRecord* record = document.account(account);
  const std::string known = (record ? *record : document.accounts.front()).password_hash;
  checking_ = true;
  co_await workers_.run([&] { right = verify_password(password, known); });
  checking_ = false;
  // The account may have been taken away, or its password changed, while we computed.
  record = documents_.current().account(account);
  co_return right&& record && record->password_hash == known;
}

Task<HttpResponse> AccessApi::get_state(Call) {
  const Document& document = documents_.current();
  co_return ok(
      {{"name", document.name},
       {"claimed", document.claimed()},
       {"several_accounts", document.accounts.size() > 1},
       {"set_up", document.setup == SetupState::ready},
       {"now", std::chrono::duration_cast<std::chrono::seconds>(shard_.clock().wall().time_since_epoch()).count()}});
}

Task<HttpResponse> AccessApi::claim(Call call) {
  if (documents_.current().claimed())
    co_return fail(409, "claimed", "This box has an owner already. Log in with the owner's password.");
  auto wait = refuse_guess(call, owner_name);
  if (wait) co_return std::move(*wait);
  std::string code = normalize_claim_code(text_in(call.body, "code"));
  if (!equal_secrets(code, normalize_claim_code(claim_code_)))
    co_return wrong_guess(
        call, owner_name, "wrong_code",
        "This is not the claim code. It is shown on the box's screen (or on the terminal that started "
        "it).");
  std::string password = text_in(call.body, "password");
  auto refusal = refuse_password(password);
  if (refusal) co_return std::move(*refusal);
  Result<std::string> hashed = co_await hash(std::move(password));
  if (!hashed) co_return fail(500, "hash", "The password could not be processed. Try again.");
  Document document = documents_.current();
  // Somebody else's claim may have come first while we computed.
  if (document.claimed())
    co_return fail(409, "claimed", "This box has an owner already. Log in with the owner's password.");
  const AccountRecord owner{.name = owner_name, .role = Role::administrator, .password_hash = *hashed};
  document.accounts = {owner};
  Result<> saved = documents_.save(std::move(document));
  if (!saved) co_return not_saved(saved.error());
  claim_code_.clear();
  ::unlink((folder_ + "/claim-code").c_str());
  log_info("page", "the box was claimed from {}", call.request.remote);
  co_return opened(call, owner);
}

Task<HttpResponse> AccessApi::log_in(Call call) {
  if (!documents_.current().claimed())
    co_return fail(409, "unclaimed", "This box has no owner yet. Claim it with the code on its screen.");
  std::string name = text_in(call.body, "name");
  if (name.empty()) name = owner_name;
  auto wait = refuse_guess(call, name);
  if (wait) co_return std::move(*wait);
  std::string password = text_in(call.body, "password");
  bool right = password.size() <= limits::password_bytes_max;
  if (right) right = co_await verify(name, std::move(password));
  if (!right)
    co_return wrong_guess(call, name, "wrong_password",
                          documents_.current().accounts.size() > 1 ? "This is not the name and its password. Try again."
                                                                   : "This is not the password. Try again.");
  if (second_.is_on(name)) {
    const std::string code = text_in(call.body, "code");
    if (code.empty()) co_return fail(401, "code_needed", "Type the code that your authenticator shows, too.");
    auto fits = second_.takes(name, code, unix_time());
    if (!fits) co_return not_saved(fits.error());
    if (!*fits)
      co_return wrong_guess(call, name, "wrong_code",
                            "This is not the code, or it was used already. Wait for the next one, or use a recovery "
                            "code.");
  }
  co_return opened(call, *documents_.current().account(name));
}

std::int64_t AccessApi::unix_time() const {
  return std::chrono::duration_cast<std::chrono::seconds>(shard_.clock().wall().time_since_epoch()).count();
}

Task<std::optional<HttpResponse>> AccessApi::refuse_without_password(const Call& call) {
  const std::string& account = call.session.account;
  if (auto wait = refuse_guess(call, account)) co_return wait;
  bool right = co_await verify(account, text_in(call.body, "password"));
  if (!right) co_return wrong_guess(call, account, "wrong_password", "This is not the password. Nothing was changed.");
  co_return std::nullopt;
}

Task<HttpResponse> AccessApi::get_second_factor(Call call) {
  const std::string& account = call.session.account;
  co_return ok({{"on", second_.is_on(account)}, {"recovery_codes", second_.recovery_codes_left(account)}});
}

Task<HttpResponse> AccessApi::begin_second_factor(Call call) {
  auto refusal = co_await refuse_without_password(call);
  if (refusal) co_return std::move(*refusal);
  const std::string secret = second_.begin(call.session.id);
  const std::string& name = documents_.current().name;
  co_return ok(
      {{"secret", secret}, {"uri", fmt::format("otpauth://totp/Spirula:{}?secret={}&issuer=Spirula", name, secret)}});
}

Task<HttpResponse> AccessApi::finish_second_factor(Call call) {
  auto codes = second_.finish(call.session.account, call.session.id, text_in(call.body, "code"), unix_time());
  if (!codes && codes.error() == Errc::not_found)
    co_return fail(409, "no_secret", "Begin again: the key in your authenticator is not one that this box knows.");
  if (!codes && codes.error() == Errc::access)
    co_return fail(422, "wrong_code",
                   "This is not the code that belongs to the key. Check that the authenticator has the whole key, and "
                   "that the clocks of both are right.");
  if (!codes) co_return not_saved(codes.error());
  sessions_.close_all(call.session.account, call.session.id);
  log_info("page", "a second factor is asked of {} from now on", call.session.account);
  co_return ok({{"recovery_codes", json::array(codes->begin(), codes->end())}});
}

Task<HttpResponse> AccessApi::end_second_factor(Call call) {
  auto refusal = co_await refuse_without_password(call);
  if (refusal) co_return std::move(*refusal);
  if (auto saved = second_.turn_off(call.session.account); !saved) co_return not_saved(saved.error());
  log_info("page", "no second factor is asked of {} any more", call.session.account);
  co_return ok(json::object{});
}

Task<HttpResponse> AccessApi::get_session(Call call) {
  co_return ok(about(call.session));
}

Task<HttpResponse> AccessApi::log_out(Call call) {
  sessions_.close(call.session.id);
  HttpResponse response = ok(json::object{});
  response.headers.push_back(cookie_header(""));
  co_return response;
}

Task<HttpResponse> AccessApi::list_sessions(Call call) {
  MonotonicTime now = shard_.clock().now();
  json::array all;
  for (const Session& session : sessions_.list(now))
    if (may_see(call, session))
      all.push_back(json::object{{"id", session.id},
                                 {"account", session.account},
                                 {"from", session.remote},
                                 {"began_seconds_ago", seconds_ago(session.made, now)},
                                 {"used_seconds_ago", seconds_ago(session.used, now)},
                                 {"this_one", session.id == call.session.id}});
  co_return ok(json::object{{"sessions", std::move(all)}});
}

Task<HttpResponse> AccessApi::end_session(Call call) {
  const auto all = sessions_.list(shard_.clock().now());
  const auto at = std::ranges::find(all, call.parts[0], &Session::id);
  if (at == all.end() || !may_see(call, *at) || !sessions_.close(at->id))
    co_return fail(404, "no_session", "This session has ended already.");
  co_return ok(json::object{});
}

Task<HttpResponse> AccessApi::change_password(Call call) {
  const std::string& account = call.session.account;
  auto wait = refuse_guess(call, account);
  if (wait) co_return std::move(*wait);
  std::string wanted = text_in(call.body, "new");
  auto refusal = refuse_password(wanted);
  if (refusal) co_return std::move(*refusal);
  bool right = co_await verify(account, text_in(call.body, "old"));
  if (!right)
    co_return wrong_guess(call, account, "wrong_password", "The old password is not right. Nothing was changed.");
  Result<std::string> hashed = co_await hash(std::move(wanted));
  if (!hashed) co_return fail(500, "hash", "The password could not be processed. Nothing was changed.");
  Document document = documents_.current();
  AccountRecord* record = document.account(account);
  if (!record) co_return fail(409, "no_account", "This account was taken away meanwhile.");
  record->password_hash = *hashed;
  Result<> saved = documents_.save(std::move(document));
  if (!saved) co_return not_saved(saved.error());
  sessions_.close_all(call.session.account, call.session.id);
  co_return ok(json::object{});
}

Task<HttpResponse> AccessApi::make_metrics_token(Call) {
  std::string token = make_token();
  Document document = documents_.current();
  document.metrics_token_hash = sha256_hex(token);
  Result<> saved = documents_.save(std::move(document));
  if (!saved) co_return not_saved(saved.error());
  co_return ok({{"token", token}});
}

}  // namespace spirula::appliance
