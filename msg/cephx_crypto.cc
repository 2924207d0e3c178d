#include "msg/cephx_crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <cstring>

#include "base/check.h"

namespace spirula::msg {

namespace {

constexpr unsigned char initial_vector[] = "cephsageyudagreg";  // CEPH_AES_IV
constexpr std::uint64_t sealed_magic = 0xff009cad8826aa55;      // CEPHX_ENC_MAGIC / AUTH_ENC_MAGIC
constexpr std::size_t block_size = 16;

const unsigned char* as_unsigned(const std::byte* at) {
  return reinterpret_cast<const unsigned char*>(at);
}

/// OpenSSL looks an algorithm up by its name, under a lock, wherever it is named: more work than a few blocks of AES.
/// So a thread keeps what it has found.
template <class T>
using Kept = std::unique_ptr<T, void (*)(T*)>;

EVP_CIPHER_CTX* cbc_context() {
  thread_local Kept<EVP_CIPHER_CTX> kept = [] {
    Kept<EVP_CIPHER_CTX> made(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
    CHECK(made && EVP_CipherInit_ex(made.get(), EVP_aes_128_cbc(), nullptr, nullptr, nullptr, 1) == 1);
    return made;
  }();
  return kept.get();
}

EVP_MAC_CTX* hmac_context() {
  thread_local Kept<EVP_MAC_CTX> kept = [] {
    Kept<EVP_MAC> hmac(EVP_MAC_fetch(nullptr, "HMAC", nullptr), EVP_MAC_free);
    Kept<EVP_MAC_CTX> made(EVP_MAC_CTX_new(hmac.get()), EVP_MAC_CTX_free);
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end()};
    CHECK(made && EVP_MAC_CTX_set_params(made.get(), parameters) == 1);
    return made;
  }();
  return kept.get();
}

Result<Buffer> run_cbc(const CryptoKey& key, ByteView from, bool encrypting) {
  if (!key.usable()) return Errc::invalid;
  EVP_CIPHER_CTX* context = cbc_context();
  CHECK(EVP_CipherInit_ex(context, nullptr, nullptr, as_unsigned(key.secret.data()), initial_vector, encrypting) == 1);
  Buffer to = Buffer::allocate(from.size() + block_size);
  auto* out = reinterpret_cast<unsigned char*>(to.mutable_data());
  int first = 0, last = 0;
  if (EVP_CipherUpdate(context, out, &first, as_unsigned(from.data()), static_cast<int>(from.size())) != 1)
    return Errc::malformed;
  if (EVP_CipherFinal_ex(context, out + first, &last) != 1) return Errc::malformed;
  return to.slice(0, static_cast<std::size_t>(first + last));
}

}  // namespace

Result<Buffer> encrypt(const CryptoKey& key, ByteView plain) {
  return run_cbc(key, plain, true);
}

Result<Buffer> decrypt(const CryptoKey& key, ByteView cipher) {
  if (cipher.empty() || cipher.size() % block_size) return Errc::malformed;
  return run_cbc(key, cipher, false);
}

CryptoKey CryptoKey::generate(Random& random, Time created) {
  CryptoKey key;
  key.type = type_aes;
  key.created = created;
  key.secret = Buffer::allocate(aes_bytes);
  random.fill({key.secret.mutable_data(), aes_bytes});
  return key;
}

void CryptoKey::encode(Encoder& encoder) const {
  encoder(type);
  encoder(created);
  encoder(static_cast<std::uint16_t>(secret.size()));
  encoder.raw(secret);
}

void CryptoKey::decode(Decoder& decoder) {
  decoder(type);
  decoder(created);
  std::size_t size = decoder.read<std::uint16_t>();
  secret = Buffer::copy_of(decoder.raw(size).view());
  if (type != type_none && !usable()) decoder.fail();
}

Result<CryptoKey> CryptoKey::parse(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  if (text.empty() || text.size() % 4 || text.size() > 256) return Errc::invalid;
  Buffer bytes = Buffer::allocate(text.size() / 4 * 3);
  int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.mutable_data()),
                             reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (size < 0) return Errc::invalid;
  for (std::string_view t = text; t.ends_with('='); t.remove_suffix(1)) --size;
  if (size <= 0) return Errc::invalid;
  auto key = spirula::decode<CryptoKey>(bytes.slice(0, static_cast<std::size_t>(size)));
  if (!key || !key->usable()) return Errc::invalid;
  return key;
}

std::string CryptoKey::print() const {
  Buffer bytes = spirula::encode(*this);
  std::string text(bytes.size() / 3 * 4 + 5, '\0');
  int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), as_unsigned(bytes.data()),
                             static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

Result<Buffer> seal_bytes(const CryptoKey& key, const Buffer& plain) {
  Encoder encoder;
  encoder(std::uint8_t{1});
  encoder(sealed_magic);
  encoder.raw(plain);
  return encrypt(key, encoder.take());
}

Result<Buffer> unseal_bytes(const CryptoKey& key, const Buffer& cipher) {
  auto plain = decrypt(key, cipher);
  if (!plain) return Errc::access;
  Decoder decoder(*plain);
  decoder.skip(1);
  if (decoder.read<std::uint64_t>() != sealed_magic || decoder.failed()) return Errc::access;
  return decoder.raw(decoder.remaining());
}

Digest hmac_sha256(ByteView key, ByteView text) {
  Digest digest{};
  if (key.empty()) return digest;
  EVP_MAC_CTX* context = hmac_context();
  std::size_t size = 0;
  CHECK(EVP_MAC_init(context, as_unsigned(key.data()), key.size(), nullptr) == 1);
  CHECK(EVP_MAC_update(context, as_unsigned(text.data()), text.size()) == 1);
  CHECK(EVP_MAC_final(context, reinterpret_cast<unsigned char*>(digest.data()), &size, digest.size()) == 1);
  CHECK(size == digest.size());
  return digest;
}

bool equal_secretly(ByteView a, ByteView b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Result<std::uint64_t> challenge_answer(const CryptoKey& key, std::uint64_t server_challenge,
                                       std::uint64_t client_challenge) {
  TRY(Buffer sealed, seal(key, std::pair(server_challenge, client_challenge)));
  // Ceph folds the sealed bytes with their 32-bit length in front, in whole 64-bit words.
  Buffer framed = spirula::encode(sealed);
  std::uint64_t answer = 0;
  for (std::size_t at = 0; at + 8 <= framed.size(); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, framed.data() + at, sizeof word);
    answer ^= word;
  }
  return answer;
}

void ExpiringKey::encode(Encoder& encoder) const {
  encoder(std::uint8_t{1});
  encoder(key);
  encoder(expires);
}
void ExpiringKey::decode(Decoder& decoder) {
  decoder.skip(1);
  decoder(key);
  decoder(expires);
}

void RotatingSecrets::encode(Encoder& encoder) const {
  encoder(std::uint8_t{1});
  encoder(keys);
  encoder(version_max);
}
void RotatingSecrets::decode(Decoder& decoder) {
  decoder.skip(1);
  decoder(keys, 64);
  decoder(version_max);
}

namespace {
constexpr std::size_t rotating_keys = 3;  // KEY_ROTATE_NUM
}

const std::pair<const std::uint64_t, ExpiringKey>* RotatingSecrets::current() const {
  if (keys.empty()) return nullptr;
  auto it = std::prev(keys.end());
  if (it != keys.begin()) --it;
  return &*it;
}

const ExpiringKey* RotatingSecrets::find(std::uint64_t id) const {
  auto it = keys.find(id);
  return it == keys.end() ? nullptr : &it->second;
}

bool RotatingSecrets::is_due(Time now) const {
  return keys.size() < rotating_keys || current()->second.expires <= now;
}

void RotatingSecrets::rotate(Time now, std::chrono::seconds lifetime, Random& random) {
  auto step = static_cast<std::uint32_t>(lifetime.count());
  while (is_due(now)) {
    ExpiringKey added;
    added.key = CryptoKey::generate(random, now);
    added.expires = now;
    if (!keys.empty()) {
      added.expires.seconds += step;
      added.expires = std::max(added.expires, std::prev(keys.end())->second.expires);
    }
    added.expires.seconds += step;
    keys.emplace(++version_max, std::move(added));
    if (keys.size() > rotating_keys) keys.erase(keys.begin());
  }
}

}  // namespace spirula::msg
