#include "msg/caps_mds.h"
#include "msg/caps_mon.h"
#include "msg/caps_osd.h"
#include "msg/keyring.h"

/// Everything that people write: capabilities, keyrings, names and addresses.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spirula;
  using namespace spirula::msg;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  static const KeyName name = *KeyName::parse("client.a");
  if (auto caps = MonCaps::parse(text)) (void)caps->allows(name, "osd", MonCaps::read, "osd pool get", {{"pool", "a"}});
  if (auto caps = OsdCaps::parse(text)) (void)caps->allows("a", "n", {{"cephfs", {{"data", "m"}}}}, "o", true, true);
  if (auto caps = MdsCaps::parse(text)) (void)caps->allows("fs", "a/b", MdsCaps::read, {}, {});
  if (auto keyring = Keyring::parse(text)) (void)keyring->print();
  (void)Endpoint::parse(text);
  (void)Uuid::parse(text);
  (void)PgId::parse(text);
  (void)CryptoKey::parse(text);
  return 0;
}
