#include <openssl/evp.h>

#include <cstring>

#include "base/check.h"
#include "msg/frame.h"
#include "msg/frame_layout.h"

namespace spirula::msg {

Result<FrameSecrets> FrameSecrets::split(ByteView connection_secret, bool accepting) {
  constexpr std::size_t key_size = 16, nonce_size = 12;
  if (connection_secret.size() < key_size + 2 * nonce_size) return Errc::malformed;
  FrameSecrets secrets;
  const std::byte* at = connection_secret.data();
  std::memcpy(secrets.receive.key.data(), at, key_size);
  secrets.transmit.key = secrets.receive.key;
  // The connecting side receives under the first nonce and transmits under the second.
  FrameSecret& first = accepting ? secrets.transmit : secrets.receive;
  FrameSecret& second = accepting ? secrets.receive : secrets.transmit;
  std::memcpy(first.nonce.data(), at + key_size, nonce_size);
  std::memcpy(second.nonce.data(), at + key_size + nonce_size, nonce_size);
  return secrets;
}

struct FrameCipher::Context {
  EVP_CIPHER_CTX* evp = EVP_CIPHER_CTX_new();
  std::array<std::byte, 12> nonce;
  bool encrypting;
  ~Context() { EVP_CIPHER_CTX_free(evp); }
};

namespace {

/// Looked up once: OpenSSL would do it for every connection.
const EVP_CIPHER* aes_128_gcm() {
  static const EVP_CIPHER* found = EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr);
  return found;
}

}  // namespace

FrameCipher::FrameCipher(const FrameSecret& secret, bool encrypting) : context_(std::make_unique<Context>()) {
  context_->nonce = secret.nonce;
  context_->encrypting = encrypting;
  CHECK(context_->evp && aes_128_gcm());
  CHECK(EVP_CipherInit_ex(context_->evp, aes_128_gcm(), nullptr,
                          reinterpret_cast<const unsigned char*>(secret.key.data()), nullptr, encrypting) == 1);
}
FrameCipher::~FrameCipher() = default;
FrameCipher::FrameCipher(FrameCipher&&) noexcept = default;

void FrameCipher::start() {
  // 4 fixed bytes, then a little-endian counter of the blocks under this key.
  CHECK(EVP_CipherInit_ex(context_->evp, nullptr, nullptr, nullptr,
                          reinterpret_cast<const unsigned char*>(context_->nonce.data()), -1) == 1);
  std::uint64_t counter;
  std::memcpy(&counter, context_->nonce.data() + 4, sizeof counter);
  ++counter;
  std::memcpy(context_->nonce.data() + 4, &counter, sizeof counter);
}

void FrameCipher::update(const std::byte* from, std::byte* to, std::size_t size) {
  constexpr std::size_t run_max = 1 << 30;  // OpenSSL counts in int
  while (size > 0) {
    int run = static_cast<int>(std::min(size, run_max)), done = 0;
    CHECK(EVP_CipherUpdate(context_->evp, reinterpret_cast<unsigned char*>(to), &done,
                           reinterpret_cast<const unsigned char*>(from), run) == 1);
    CHECK(done == run);
    from += run;
    to += run;
    size -= static_cast<std::size_t>(run);
  }
}

void FrameCipher::finish_encrypting(std::byte* tag) {
  int done = 0;
  CHECK(EVP_CipherFinal_ex(context_->evp, nullptr, &done) == 1);
  CHECK(EVP_CIPHER_CTX_ctrl(context_->evp, EVP_CTRL_AEAD_GET_TAG, frame_layout::tag_size, tag) == 1);
}

bool FrameCipher::finish_decrypting(const std::byte* tag) {
  int done = 0;
  CHECK(EVP_CIPHER_CTX_ctrl(context_->evp, EVP_CTRL_AEAD_SET_TAG, frame_layout::tag_size,
                            const_cast<std::byte*>(tag)) == 1);
  return EVP_CipherFinal_ex(context_->evp, nullptr, &done) == 1;
}

}  // namespace spirula::msg
