
#include "base/check.h"
#include "base/codec.h"
#include "filestore/admission.h"
#include "filestore/key.h"
#include "filestore/onode.h"
#include "filestore/record.h"
#include "filestore/slabs.h"
#include "filestore/superblock.h"

/// What a damaged disk can hand the store: records of the journal, rows of the index and their keys, the small files
/// beside them. Each decoder says that it is none, or gives a value that encodes to the same value again.
namespace {

using namespace spirula;
using namespace spirula::filestore;

void read_record(const Buffer& bytes) {
  auto recorded = decode_record(bytes);
  if (!recorded) return;
  Record record = encode_record(recorded->collection, recorded->transaction);
  auto again = decode_record(record.description, record.payload);
  CHECK(again.has_value());
  (void)check_limits(again->transaction);
  CHECK(again->collection == recorded->collection);
  CHECK(again->transaction.operations().size() == recorded->transaction.operations().size());
  Record repeated = encode_record(again->collection, again->transaction);
  CHECK(repeated.description == record.description && repeated.payload == record.payload);
}

template <class T>
void read_value(const Buffer& bytes) {
  auto value = decode<T>(bytes);
  if (!value) return;
  Buffer written = encode(*value);
  auto again = decode<T>(written);
  CHECK(again.has_value());
  CHECK(encode(*again) == written);
}

void read_key(std::string_view text) {
  auto object = key::parse_object(text);
  if (object) CHECK(key::object(*object) == text);
  auto collection = key::parse_collection(text);
  if (collection) CHECK(key::collection(*collection) == text);
}

/// Names of any bytes go into keys and come out again, and sort as the objects do.
void make_keys(const Buffer& bytes) {
  Decoder wire(bytes);
  ObjectId a, b;
  wire(a);
  wire(b);
  if (!wire.finish()) return;
  std::string key_a = key::object(a), key_b = key::object(b);
  auto parsed = key::parse_object(key_a);
  CHECK(parsed && *parsed == a);
  CHECK((a < b) == (key_a < key_b) && (a == b) == (key_a == key_b));
}

}  // namespace

/// The first byte says what the others are.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  Buffer bytes = Buffer::copy_of(text);
  switch (data[0] % 9) {
    case 0:
    case 1:
      read_record(bytes);
      break;
    case 2:
      read_value<Onode>(bytes);
      break;
    case 3:
      read_value<StoreSuperblock>(bytes);
      break;
    case 4:
      read_value<CommitPoint>(bytes);
      break;
    case 5:
      read_key(text);
      break;
    case 6:
      read_value<SlotOwner>(bytes);
      break;
    case 7: {
      SlotOwners owners;
      (void)parse_slot_owners(bytes, owners);
      break;
    }
    default:
      make_keys(bytes);
  }
  return 0;
}
