#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

/// Passwords, tokens and codes. None of these ever reaches a log.
namespace spirula::appliance {

/// argon2id with 19 MiB, two passes, one lane (OWASP's minimum, for small boxes), as "$argon2id$...". Blocks for some
/// tens of milliseconds.
Result<std::string> hash_password(std::string_view password);
/// Blocks as long.
bool verify_password(std::string_view password, const std::string& hash);

/// What is wrong with a new password, and what to do; empty: nothing.
std::string problem_with_password(std::string_view password);

/// 256 bits from the kernel, as 64 hexadecimal digits.
std::string make_token();
inline constexpr std::size_t claim_code_letters_min = 8;
/// Eight letters and digits that cannot be mistaken for one another, "ABCD-2345": 39 bits.
std::string make_claim_code();
/// The code as typed, with whatever case, spaces and hyphens, in the form in which two are compared.
std::string normalize_claim_code(std::string_view typed);
/// SHA-256 in hexadecimal.
std::string sha256_hex(std::string_view text);
/// In a time that does not depend on where they differ.
bool equal_secrets(std::string_view a, std::string_view b);

}  // namespace spirula::appliance
