#include "appliance/secrets.h"

#include <argon2.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <fmt/format.h>

#include <array>
#include <span>

#include "appliance/limits.h"
#include "base/random.h"

namespace spirula::appliance {
namespace {

constexpr std::uint32_t argon_passes = 2, argon_kib = 19 << 10, argon_lanes = 1;
/// Without I, L, O, 0 and 1.
constexpr std::string_view code_letters = "ABCDEFGHJKMNPQRSTUVWXYZ23456789";
static_assert(code_letters.size() == 31);

template <std::size_t count>
std::array<std::byte, count> random_bytes() {
  std::array<std::byte, count> bytes;
  system_random().fill(bytes);
  return bytes;
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (std::byte each : bytes) text += fmt::format("{:02x}", static_cast<unsigned>(each));
  return text;
}

}  // namespace

Result<std::string> hash_password(std::string_view password) {
  auto salt = random_bytes<16>();
  constexpr std::size_t hash_bytes = 32;
  std::string text(argon2_encodedlen(argon_passes, argon_kib, argon_lanes, salt.size(), hash_bytes, Argon2_id), '\0');
  if (argon2id_hash_encoded(argon_passes, argon_kib, argon_lanes, password.data(), password.size(), salt.data(),
                            salt.size(), hash_bytes, text.data(), text.size()) != ARGON2_OK)
    return Errc::io;
  text.resize(text.find('\0'));
  return text;
}

bool verify_password(std::string_view password, const std::string& hash) {
  return argon2id_verify(hash.c_str(), password.data(), password.size()) == ARGON2_OK;
}

std::string make_token() {
  return hex(random_bytes<32>());
}

std::string make_claim_code() {
  std::string code;
  for (int i = 0; i < 8; ++i) {
    if (i == 4) code += '-';
    code += code_letters[system_random().below(code_letters.size())];
  }
  return code;
}

std::string normalize_claim_code(std::string_view typed) {
  std::string code;
  for (char letter : typed) {
    if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 32);
    if ((letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9')) code += letter;
  }
  return code;
}

std::string sha256_hex(std::string_view text) {
  std::array<std::byte, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(),
         reinterpret_cast<unsigned char*>(digest.data()));
  return hex(digest);
}

std::string problem_with_password(std::string_view password) {
  if (password.size() < limits::password_bytes_min)
    return fmt::format("Choose a password of at least {} characters. Several words in a row make a good one.",
                       limits::password_bytes_min);
  if (password.size() > limits::password_bytes_max)
    return fmt::format("Choose a password of at most {} bytes.", limits::password_bytes_max);
  return {};
}

bool equal_secrets(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace spirula::appliance
