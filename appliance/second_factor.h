#pragma once
#include <cstdint>
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

/// What is asked besides the password: a code of the owner's authenticator, or one of the recovery codes, each good for
/// one time. Off until the owner has shown that the authenticator works. Lives on one shard.
class SecondFactor {
 public:
  explicit SecondFactor(DocumentStore& documents) : documents_(documents) {}
  bool is_on() const { return !documents_.current().totp_secret.empty(); }
  std::size_t recovery_codes_left() const { return documents_.current().recovery_hashes.size(); }
  /// A code that fits is used up. `now`: seconds since 1970. Errors of DocumentStore::save() for a recovery code: it is
  /// still good then.
  Result<bool> takes(std::string_view typed, std::int64_t now);
  /// A new secret for this session, until finish().
  std::string begin(const std::string& session);
  /// On from now on if the code is the authenticator's; returns the recovery codes, which are nowhere else.
  /// Errc::not_found without begin() from this session, Errc::access for another code, errors of save().
  Result<std::vector<std::string>> finish(const std::string& session, std::string_view typed, std::int64_t now);
  Result<> turn_off();

 private:
  /// The step whose code this is, one before or after now being near enough.
  std::optional<std::uint64_t> step_of(std::string_view secret, std::string_view digits, std::int64_t now) const;
  DocumentStore& documents_;
  std::string wanted_by_, wanted_;  ///< session and secret of begin()
  std::uint64_t last_step_ = 0;     ///< of the last code that was used: neither it nor an earlier one is good again
};

}  // namespace spirula::appliance
