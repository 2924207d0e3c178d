#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "appliance/document_store.h"

namespace spirula::appliance {

/// 160 bits in base32, as authenticator programs take them.
std::string make_totp_secret();
/// The six digits that an authenticator shows in the `step`th half minute since 1970 (RFC 6238: SHA-1, 30 s). Nothing
/// when the secret is no base32.
std::optional<std::string> totp_at(std::string_view secret, std::uint64_t step);

/// What is asked besides an account's password: a code of its authenticator, or one of the recovery codes, each good
/// for one time. Off until somebody has shown that the authenticator works. Lives on one shard.
class SecondFactor {
 public:
  explicit SecondFactor(DocumentStore& documents) : documents_(documents) {}
  bool is_on(const std::string& account) const;
  std::size_t recovery_codes_left(const std::string& account) const;
  /// A code that fits is used up. `now`: seconds since 1970. Errors of DocumentStore::save() for a recovery code: it is
  /// still good then.
  Result<bool> takes(const std::string& account, std::string_view typed, std::int64_t now);
  /// A new secret for this session, until finish().
  std::string begin(const std::string& session);
  /// On from now on if the code is the authenticator's; returns the recovery codes, which are nowhere else.
  /// Errc::not_found without begin() from this session or without the account, Errc::access for another code, errors of
  /// save().
  Result<std::vector<std::string>> finish(const std::string& account, const std::string& session,
                                          std::string_view typed, std::int64_t now);
  Result<> turn_off(const std::string& account);

 private:
  /// The step whose code this is, one before or after now being near enough.
  std::optional<std::uint64_t> step_of(std::string_view secret, std::string_view digits, std::int64_t now) const;
  DocumentStore& documents_;
  std::map<std::string, std::string> wanted_;  ///< by session: the secret of begin()
  /// By account, of the last code that was used: neither it nor an earlier one is good again.
  std::map<std::string, std::uint64_t> last_step_;
};

}  // namespace spirula::appliance
