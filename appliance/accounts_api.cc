#include "appliance/accounts_api.h"

#include <fmt/format.h>
#include <boost/json/array.hpp>

#include "appliance/json_read.h"
#include "appliance/limits.h"
#include "appliance/secrets.h"
#include "base/coroutine.h"
#include "base/log.h"

namespace spirula::appliance {
namespace json = boost::json;
namespace {

constexpr const char* make_schema =
    R"({"type":"object","required":["name","role","password"],"properties":{"name":{"type":"string","maxLength":40},"role":{"type":"string","enum":["administrator","viewer"]},"password":{"type":"string","minLength":10,"maxLength":256}}})";
constexpr const char* change_schema =
    R"({"type":"object","properties":{"role":{"type":"string","enum":["administrator","viewer"]},"password":{"type":"string","minLength":10,"maxLength":256,"description":"a new one; the account's second factor is off then"}}})";

HttpResponse unknown_role() {
  return fail(422, "role", "Say whether the account is an administrator's or a viewer's.");
}

json::object about(const AccountRecord& account) {
  return {{"name", account.name}, {"role", name_of(account.role)}, {"second_factor", !account.totp_secret.empty()}};
}

}  // namespace

void AccountsApi::add_to(Router& router) {
  router.add(
      {"GET", "/api/v1/accounts", Access::administrator, "who can log in", "", action(this, &AccountsApi::list)});
  router.add({"POST", "/api/v1/accounts", Access::administrator, "make an account", make_schema,
              action(this, &AccountsApi::make)});
  router.add({"PUT", "/api/v1/accounts/{name}", Access::administrator,
              "give somebody else another role or a new password; their sessions end", change_schema,
              action(this, &AccountsApi::change)});
  router.add({"DELETE", "/api/v1/accounts/{name}", Access::administrator,
              "take somebody else's account away; their sessions end", "", action(this, &AccountsApi::remove)});
}

Task<HttpResponse> AccountsApi::list(Call) {
  json::array all;
  for (const AccountRecord& account : documents_.current().accounts) all.push_back(about(account));
  co_return ok({{"accounts", std::move(all)}});
}

Task<HttpResponse> AccountsApi::make(Call call) {
  AccountRecord account{.name = text_in(call.body, "name")};
  if (auto problem = problem_with_account_name(account.name); !problem.empty()) co_return fail(422, "name", problem);
  const auto role = role_of(text_in(call.body, "role"));
  if (!role) co_return unknown_role();
  account.role = *role;
  std::string password = text_in(call.body, "password");
  if (auto problem = problem_with_password(password); !problem.empty()) co_return fail(422, "password", problem);
  auto hashed = co_await hash(std::move(password));
  if (!hashed) co_return fail(500, "hash", "The password could not be processed. Nothing was changed.");
  account.password_hash = *hashed;
  Document document = documents_.current();
  if (document.account(account.name))
    co_return fail(409, "exists", "There is an account of this name already. Choose another.");
  if (document.accounts.size() >= limits::accounts_max)
    co_return fail(409, "too_many", "There are too many accounts. Take one away that is no longer used.");
  document.accounts.push_back(account);
  Result<> saved = documents_.save(std::move(document));
  if (!saved) co_return not_saved(saved.error());
  log_info("page", "{} made the account {} ({})", call.session.account, account.name, name_of(account.role));
  co_return ok(about(account));
}

std::optional<HttpResponse> AccountsApi::refuse(const Call& call) const {
  const std::string& name = call.parts[0];
  if (!documents_.current().account(name)) return fail(404, "no_account", "There is no account of this name.");
  if (name == owner_name)
    return fail(409, "owner",
                "The owner's account stays as it is. Its password is changed by who is logged in with it.");
  if (name == call.session.account)
    return fail(409, "yourself", "This is your own account. Ask another administrator.");
  return {};
}

Task<HttpResponse> AccountsApi::change(Call call) {
  std::optional<Role> role;
  if (call.body.contains("role")) {
    role = role_of(text_in(call.body, "role"));
    if (!role) co_return unknown_role();
  }
  std::string hashed;
  if (call.body.contains("password")) {
    std::string password = text_in(call.body, "password");
    if (auto problem = problem_with_password(password); !problem.empty()) co_return fail(422, "password", problem);
    auto made = co_await hash(std::move(password));
    if (!made) co_return fail(500, "hash", "The password could not be processed. Nothing was changed.");
    hashed = *made;
  }
  if (auto refusal = refuse(call)) co_return std::move(*refusal);
  Document document = documents_.current();
  AccountRecord& account = *document.account(call.parts[0]);
  if (role) account.role = *role;
  if (!hashed.empty()) {
    account.password_hash = hashed;
    account.totp_secret.clear();
    account.recovery_hashes.clear();
  }
  json::object answer = about(account);
  Result<> saved = documents_.save(std::move(document));
  if (!saved) co_return not_saved(saved.error());
  sessions_.close_all(call.parts[0]);
  log_info("page", "{} changed the account {}", call.session.account, call.parts[0]);
  co_return ok(answer);
}

Task<HttpResponse> AccountsApi::remove(Call call) {
  if (auto refusal = refuse(call)) co_return std::move(*refusal);
  Document document = documents_.current();
  std::erase_if(document.accounts, [&](const AccountRecord& each) { return each.name == call.parts[0]; });
  Result<> saved = documents_.save(std::move(document));
  if (!saved) co_return not_saved(saved.error());
  sessions_.close_all(call.parts[0]);
  log_info("page", "{} took the account {} away", call.session.account, call.parts[0]);
  co_return ok(json::object{});
}

Task<Result<std::string>> AccountsApi::hash(std::string password) {
  Result<std::string> hashed = Errc::cancelled;
  co_await workers_.run([&] { hashed = hash_password(password); });
  co_return hashed;
}

}  // namespace spirula::appliance
