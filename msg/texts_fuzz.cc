#include "base/check.h"
#include "base/config.h"
#include "msg/caps_mds.h"
#include "msg/caps_mon.h"
#include "msg/caps_osd.h"
#include "msg/keyring.h"

/// Everything that people write: capabilities, keyrings, configuration, names and addresses.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spirula;
  using namespace spirula::msg;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  static const KeyName name = *KeyName::parse("client.a");
  if (auto caps = MonCaps::parse(text)) (void)caps->allows(name, "osd", MonCaps::read, "osd pool get", {{"pool", "a"}});
  if (auto caps = OsdCaps::parse(text)) (void)caps->allows("a", "n", {{"cephfs", {{"data", "m"}}}}, "o", true, true);
  if (auto caps = MdsCaps::parse(text)) (void)caps->allows("fs", "a/b", MdsCaps::read, {}, {});
  if (auto keyring = Keyring::parse(text)) (void)keyring->print();
  Config config("osd", "0");
  if (!config.parse_file_text(text)) CHECK(!config.problem().empty());
  if (text.find_first_not_of("0123456789.:[]v,/") == text.npos) (void)parse_mon_host(text);  // looks no names up
  (void)parse_size(text);
  (void)parse_seconds(text);
  (void)Endpoint::parse(text);
  (void)Uuid::parse(text);
  (void)PgId::parse(text);
  (void)CryptoKey::parse(text);
  return 0;
}
