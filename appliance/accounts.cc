#include "appliance/accounts.h"

#include <algorithm>

#include "appliance/limits.h"
#include "appliance/secrets.h"

namespace spirula::appliance {
namespace {

Duration delay_after(unsigned wrong, Duration max) {
  constexpr unsigned doublings_max = 16;
  Duration delay = std::chrono::seconds(1);
  return std::min(max, delay * (1u << std::min(wrong - 1, doublings_max)));
}

}  // namespace

Duration GuessDelays::wait_for(const std::string& address, MonotonicTime now) const {
  MonotonicTime until = trusted_.contains(address) ? MonotonicTime{} : all_.not_before;
  if (auto at = by_address_.find(address); at != by_address_.end()) until = std::max(until, at->second.not_before);
  return until > now ? until - now : Duration::zero();
}

void GuessDelays::wrong(const std::string& address, MonotonicTime now) {
  if (by_address_.size() >= limits::guessing_addresses_max && !by_address_.contains(address)) {
    std::erase_if(by_address_, [&](const auto& entry) { return entry.second.not_before <= now; });
    // Still full: that many addresses at once are slowed by what holds for all of them.
    if (by_address_.size() >= limits::guessing_addresses_max) by_address_.erase(by_address_.begin());
  }
  Guesses& one = by_address_[address];
  one.not_before = now + delay_after(++one.count, limits::guess_delay_max);
  all_.not_before = now + delay_after(++all_.count, limits::guess_delay_any_address_max);
}

void GuessDelays::right(const std::string& address) {
  by_address_.erase(address);
  all_ = {};
  if (trusted_.size() >= limits::trusted_addresses_max) trusted_.erase(trusted_.begin());
  trusted_.insert(address);
}

Sessions::Opened Sessions::open(const std::string& remote, const AccountRecord& account, MonotonicTime now) {
  forget_old(now);
  if (by_digest_.size() >= limits::sessions_max)
    by_digest_.erase(std::ranges::min_element(by_digest_, {}, [](const auto& each) { return each.second.used; }));
  Opened opened;
  opened.token = make_token();
  opened.session = {.id = make_token().substr(0, 12),
                    .csrf = make_token(),
                    .remote = remote,
                    .account = account.name,
                    .role = account.role,
                    .made = now,
                    .used = now};
  by_digest_[sha256_hex(opened.token)] = opened.session;
  return opened;
}

std::optional<Session> Sessions::find(const std::string& token, MonotonicTime now) {
  forget_old(now);
  auto at = by_digest_.find(sha256_hex(token));
  if (at == by_digest_.end()) return {};
  at->second.used = now;
  return at->second;
}

bool Sessions::is_open(const std::string& id, MonotonicTime now) {
  forget_old(now);
  return std::ranges::any_of(by_digest_, [&](const auto& each) { return each.second.id == id; });
}

bool Sessions::close(const std::string& id) {
  return std::erase_if(by_digest_, [&](const auto& each) { return each.second.id == id; }) > 0;
}

void Sessions::close_all(const std::string& account, const std::string& but) {
  std::erase_if(by_digest_, [&](const auto& each) { return each.second.account == account && each.second.id != but; });
}

std::vector<Session> Sessions::list(MonotonicTime now) {
  forget_old(now);
  std::vector<Session> all;
  for (const auto& [digest, session] : by_digest_) all.push_back(session);
  return all;
}

void Sessions::forget_old(MonotonicTime now) {
  std::erase_if(by_digest_, [&](const auto& each) {
    const Session& session = each.second;
    return now - session.used > limits::session_idle_max || now - session.made > limits::session_age_max;
  });
}

}  // namespace spirula::appliance
