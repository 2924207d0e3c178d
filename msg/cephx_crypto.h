#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/buffer.h"
#include "base/codec.h"
#include "base/random.h"
#include "base/result.h"
#include "msg/types.h"

/// The primitives of cephx. Sources: Ceph src/auth/Crypto.{h,cc}, src/auth/cephx/CephxProtocol.h; Linux
/// net/ceph/{crypto.c,auth_x_protocol.h}.
namespace spirula::msg {

/// Ceph: CryptoKey. A named secret: 16 bytes for AES-128. Never logged.
struct CryptoKey {
  static constexpr std::uint16_t type_none = 0, type_aes = 1;  ///< CEPH_CRYPTO_NONE, CEPH_CRYPTO_AES
  static constexpr std::size_t aes_bytes = 16;
  std::uint16_t type = type_none;
  Time created;
  Buffer secret;

  static CryptoKey generate(Random& random, Time created);
  /// The base64 text of keyrings and mount options. Errc::invalid.
  static Result<CryptoKey> parse(std::string_view text);
  std::string print() const;
  bool usable() const { return type == type_aes && secret.size() == aes_bytes; }

  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
  friend bool operator==(const CryptoKey& a, const CryptoKey& b) { return a.type == b.type && a.secret == b.secret; }
};

/// AES-128-CBC with Ceph's fixed initial vector and PKCS#7 padding. Errc::invalid if the key is not usable;
/// decrypting: Errc::malformed if the padding is wrong, which is what a wrong key looks like.
Result<Buffer> encrypt(const CryptoKey& key, ByteView plain);
Result<Buffer> decrypt(const CryptoKey& key, ByteView cipher);

/// A struct behind the version and magic that tell a right key from a wrong one (Ceph: encode_encrypt_enc_bl).
Result<Buffer> seal_bytes(const CryptoKey& key, const Buffer& plain);
Result<Buffer> unseal_bytes(const CryptoKey& key, const Buffer& cipher);
template <class T>
Result<Buffer> seal(const CryptoKey& key, const T& value) {
  return seal_bytes(key, encode(value));
}
/// Errc::access if the key does not fit.
template <class T>
Result<T> unseal(const CryptoKey& key, const Buffer& cipher) {
  TRY(Buffer plain, unseal_bytes(key, cipher));
  return decode<T>(std::move(plain));
}

/// HMAC-SHA-256; all zeros under an empty key, as Ceph has it for auth none.
using Digest = std::array<std::byte, 32>;
Digest hmac_sha256(ByteView key, ByteView text);
/// Compares without telling an observer where the difference is.
bool equal_secretly(ByteView a, ByteView b);

/// What a client answers to the monitor's challenge (Ceph: cephx_calc_client_server_challenge).
Result<std::uint64_t> challenge_answer(const CryptoKey& key, std::uint64_t server_challenge,
                                       std::uint64_t client_challenge);

/// Ceph: ExpiringCryptoKey.
struct ExpiringKey {
  CryptoKey key;
  Time expires;
  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
};

/// Ceph: RotatingSecrets. The keys that seal a service's tickets, oldest first: previous, current and next. A ticket is
/// sealed with the last but one, so that every service knows a key before the first ticket under it appears.
struct RotatingSecrets {
  std::map<std::uint64_t, ExpiringKey> keys;
  std::uint64_t version_max = 0;

  void encode(Encoder& encoder) const;
  void decode(Decoder& decoder);
  /// The key to seal with now, and its id; nullptr if there is none.
  const std::pair<const std::uint64_t, ExpiringKey>* current() const;
  const ExpiringKey* find(std::uint64_t id) const;
  /// Whether rotate() would change anything.
  bool is_due(Time now) const;
  /// Adds keys until there are three and the current one has not expired; drops the oldest beyond three.
  /// Tickets under a key live `lifetime`, so it is kept for three lifetimes.
  void rotate(Time now, std::chrono::seconds lifetime, Random& random);
};

}  // namespace spirula::msg
