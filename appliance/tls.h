#pragma once
#include <string>
#include <vector>

#include "base/result.h"

namespace spirula::appliance {

/// Who the page is. A certificate of our own making: what ties it to the box is the fingerprint that the console shows.
struct TlsIdentity {
  std::string certificate_pem, key_pem;
  std::string fingerprint;  ///< SHA-256 of the certificate: "AB:CD:..."
};

/// A new ECDSA P-256 key and a certificate for these DNS names and addresses, valid whatever the clock
/// says.
Result<TlsIdentity> make_identity(const std::vector<std::string>& names, const std::vector<std::string>& addresses);

/// The owner's own, in PEM. Errc::malformed when they are not a certificate and its key.
Result<TlsIdentity> identity_from(std::string certificate_pem, std::string key_pem);
/// Keeps the owner's own certificate in `folder`, or forgets it again.
Result<> save_own_identity(const std::string& folder, const TlsIdentity& identity);
Result<> forget_own_identity(const std::string& folder);
/// Errc::not_found; Errc::malformed.
Result<TlsIdentity> load_own_identity(const std::string& folder);

/// From `folder`/tls.crt and tls.key (mode 0600), made there when they are missing. A certificate whose time has not
/// come is kept all the same: the box's clock may be years off. Errc::malformed when they do not belong together.
Result<TlsIdentity> load_or_make_identity(const std::string& folder, const std::vector<std::string>& names,
                                          const std::vector<std::string>& addresses);

}  // namespace spirula::appliance
