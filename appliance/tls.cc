#include "appliance/tls.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <unistd.h>

#include <fmt/format.h>

#include <ctime>
#include <memory>

#include "appliance/files.h"

namespace spirula::appliance {
namespace {

template <auto release>
struct Release {
  void operator()(auto* what) const { release(what); }
};
using Key = std::unique_ptr<EVP_PKEY, Release<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Release<X509_free>>;
using Bio = std::unique_ptr<BIO, Release<BIO_free_all>>;

constexpr const char* own_identity = "/tls-own.pem";

std::string text_of(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string fingerprint_of(X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  X509_digest(certificate, EVP_sha256(), digest, &size);
  std::string text;
  for (unsigned i = 0; i < size; ++i) text += fmt::format("{}{:02X}", i ? ":" : "", digest[i]);
  return text;
}

bool add_extension(X509* certificate, int which, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, which, value.c_str());
  if (!extension) return false;
  bool added = X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  return added;
}

Result<TlsIdentity> check(TlsIdentity identity) {
  Bio certificate_text(
      BIO_new_mem_buf(identity.certificate_pem.data(), static_cast<int>(identity.certificate_pem.size())));
  Certificate certificate(PEM_read_bio_X509(certificate_text.get(), nullptr, nullptr, nullptr));
  Bio key_text(BIO_new_mem_buf(identity.key_pem.data(), static_cast<int>(identity.key_pem.size())));
  Key key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  if (!certificate || !key || X509_check_private_key(certificate.get(), key.get()) != 1) return Errc::malformed;
  identity.fingerprint = fingerprint_of(certificate.get());
  return identity;
}

}  // namespace

Result<TlsIdentity> make_identity(const std::vector<std::string>& names, const std::vector<std::string>& addresses) {
  Key key(EVP_EC_gen("P-256"));
  Certificate certificate(X509_new());
  if (!key || !certificate) return Errc::io;
  X509_set_version(certificate.get(), X509_VERSION_3);
  std::uint64_t serial = 0;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) != 1) return Errc::io;
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial >> 1);
  // Not counted from now: a box without a battery starts decades off, and gets the right time later.
  ASN1_TIME_set_string(X509_getm_notBefore(certificate.get()), "20000101000000Z");
  ASN1_TIME_set_string(X509_getm_notAfter(certificate.get()), "20991231235959Z");
  X509_set_pubkey(certificate.get(), key.get());
  X509_NAME* name = X509_get_subject_name(certificate.get());
  const std::string common = names.empty() ? "spirula" : names.front();
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(common.c_str()), -1, -1,
                             0);
  X509_set_issuer_name(certificate.get(), name);
  std::string alternatives;
  for (const auto& each : names) alternatives += (alternatives.empty() ? "DNS:" : ",DNS:") + each;
  for (const auto& each : addresses) alternatives += (alternatives.empty() ? "IP:" : ",IP:") + each;
  if (!alternatives.empty() && !add_extension(certificate.get(), NID_subject_alt_name, alternatives))
    return Errc::invalid;
  if (!add_extension(certificate.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !add_extension(certificate.get(), NID_ext_key_usage, "serverAuth"))
    return Errc::io;
  if (!X509_sign(certificate.get(), key.get(), EVP_sha256())) return Errc::io;

  Bio certificate_text(BIO_new(BIO_s_mem())), key_text(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(certificate_text.get(), certificate.get());
  PEM_write_bio_PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return check({.certificate_pem = text_of(certificate_text.get()), .key_pem = text_of(key_text.get())});
}

Result<TlsIdentity> identity_from(std::string certificate_pem, std::string key_pem) {
  return check({.certificate_pem = std::move(certificate_pem), .key_pem = std::move(key_pem)});
}

// One file, so that a power cut leaves no certificate with another one's key.
Result<> save_own_identity(const std::string& folder, const TlsIdentity& identity) {
  return write_file(folder + own_identity, identity.key_pem + "\n" + identity.certificate_pem, 0600);
}

Result<> forget_own_identity(const std::string& folder) {
  if (::unlink((folder + own_identity).c_str()) != 0 && errno != ENOENT) return last_errno();
  return {};
}

Result<TlsIdentity> load_own_identity(const std::string& folder) {
  TRY(std::string both, read_file(folder + own_identity));
  return check({.certificate_pem = both, .key_pem = both});
}

Result<TlsIdentity> load_or_make_identity(const std::string& folder, const std::vector<std::string>& names,
                                          const std::vector<std::string>& addresses) {
  auto certificate = read_file(folder + "/tls.crt");
  auto key = read_file(folder + "/tls.key");
  if (certificate && key) return check({.certificate_pem = *certificate, .key_pem = *key});
  TRY(TlsIdentity made, make_identity(names, addresses));
  // The certificate last: without it the pair is made anew.
  TRY(write_file(folder + "/tls.key", made.key_pem, 0600));
  TRY(write_file(folder + "/tls.crt", made.certificate_pem, 0644));
  return made;
}

}  // namespace spirula::appliance
