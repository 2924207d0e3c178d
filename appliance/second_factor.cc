#include "appliance/second_factor.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <array>

#include "appliance/limits.h"
#include "appliance/secrets.h"
#include "base/random.h"

namespace spirula::appliance {
namespace {

constexpr std::string_view base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr std::size_t secret_letters = 32;  // of 5 bits each
constexpr std::int64_t step_seconds = 30;

std::optional<std::string> from_base32(std::string_view text) {
  std::string bytes;
  unsigned bits = 0, held = 0;
  for (char letter : text) {
    const std::size_t value = base32.find(letter);
    if (value == base32.npos) return {};
    held = (held << 5 | static_cast<unsigned>(value)) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(held >> bits & 0xff);
  }
  if (bytes.empty()) return {};
  return bytes;
}

}  // namespace

std::string make_totp_secret() {
  std::string secret;
  for (std::size_t i = 0; i < secret_letters; ++i) secret += base32[system_random().below(base32.size())];
  return secret;
}

std::optional<std::string> totp_at(std::string_view secret, std::uint64_t step) {
  auto key = from_base32(secret);
  if (!key) return {};
  std::array<unsigned char, 8> counter;
  for (int i = 7; i >= 0; --i, step >>= 8) counter[static_cast<std::size_t>(i)] = static_cast<unsigned char>(step);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (!HMAC(EVP_sha1(), key->data(), static_cast<int>(key->size()), counter.data(), counter.size(), digest.data(),
            &size))
    return {};
  // RFC 4226, 5.3: four bytes from where the last one says, without the sign.
  const std::size_t at = digest[size - 1] & 0xf;
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < 4; ++i) number = number << 8 | digest[at + i];
  return fmt::format("{:06}", (number & 0x7fffffff) % 1'000'000);
}

std::optional<std::uint64_t> SecondFactor::step_of(std::string_view secret, std::string_view digits,
                                                   std::int64_t now) const {
  const std::int64_t current = now / step_seconds;
  std::optional<std::uint64_t> found;
  for (std::int64_t step = std::max<std::int64_t>(current - 1, 0); step <= current + 1; ++step) {
    auto right = totp_at(secret, static_cast<std::uint64_t>(step));
    if (right && equal_secrets(*right, digits)) found = static_cast<std::uint64_t>(step);
  }
  return found;
}

bool SecondFactor::is_on(const std::string& account) const {
  const AccountRecord* record = documents_.current().account(account);
  return record && !record->totp_secret.empty();
}

std::size_t SecondFactor::recovery_codes_left(const std::string& account) const {
  const AccountRecord* record = documents_.current().account(account);
  return record ? record->recovery_hashes.size() : 0;
}

Result<bool> SecondFactor::takes(const std::string& account, std::string_view typed, std::int64_t now) {
  const AccountRecord* record = documents_.current().account(account);
  if (!record) return false;
  const std::string letters = normalize_claim_code(typed);
  if (auto step = step_of(record->totp_secret, letters, now); step && *step > last_step_[account]) {
    last_step_[account] = *step;
    return true;
  }
  const auto& hashes = record->recovery_hashes;
  const auto at = std::ranges::find(hashes, sha256_hex(letters));
  if (letters.size() < claim_code_letters_min || at == hashes.end()) return false;
  Document changed = documents_.current();
  auto& left = changed.account(account)->recovery_hashes;
  left.erase(left.begin() + (at - hashes.begin()));
  TRY(documents_.save(std::move(changed)));
  return true;
}

std::string SecondFactor::begin(const std::string& session) {
  if (wanted_.size() >= limits::sessions_max) wanted_.clear();  // they begin again
  return wanted_[session] = make_totp_secret();
}

Result<std::vector<std::string>> SecondFactor::finish(const std::string& account, const std::string& session,
                                                      std::string_view typed, std::int64_t now) {
  auto wanted = wanted_.find(session);
  Document document = documents_.current();
  AccountRecord* record = document.account(account);
  if (wanted == wanted_.end() || !record) return Errc::not_found;
  auto step = step_of(wanted->second, normalize_claim_code(typed), now);
  if (!step) return Errc::access;
  record->totp_secret = wanted->second;
  record->recovery_hashes.clear();
  std::vector<std::string> codes;
  for (std::size_t i = 0; i < limits::recovery_codes; ++i) {
    codes.push_back(make_claim_code());
    record->recovery_hashes.push_back(sha256_hex(normalize_claim_code(codes.back())));
  }
  TRY(documents_.save(std::move(document)));
  wanted_.erase(wanted);
  last_step_[account] = *step;
  return codes;
}

Result<> SecondFactor::turn_off(const std::string& account) {
  Document document = documents_.current();
  AccountRecord* record = document.account(account);
  if (!record) return {};
  record->totp_secret.clear();
  record->recovery_hashes.clear();
  return documents_.save(std::move(document));
}

}  // namespace spirula::appliance
