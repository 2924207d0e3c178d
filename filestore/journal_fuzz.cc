#include <cstring>

#include "base/check.h"
#include "filestore/journal.h"
#include "filestore/memory_device.h"
#include "filestore/record.h"

/// A journal in order, then damaged as the input says: opened and replayed it gives records in sequence, or says why
/// not.
namespace {

using namespace spirula;
using namespace spirula::filestore;
using testing::Medium;
using testing::MemoryDevice;

constexpr StoreUuid store{1, 2, 3};
constexpr std::uint64_t area_bytes = 256 << 10;  ///< of the device, that a run may touch

/// Records small and large, in several writes.
Medium written() {
  Medium medium(area_bytes);
  {
    MemoryDevice device(medium);
    CHECK(Journal::format(device, store).has_value());
  }
  auto journal = Journal::open(std::make_unique<MemoryDevice>(medium), store);
  CHECK(journal.has_value());
  CHECK(
      (*journal)->start({}, {}, [](Journal::EntryList&, Result<>) {}, [](std::uint64_t) { return true; }).has_value());
  for (std::uint64_t number = 1; number <= 12; ++number) {
    ObjectId object;
    object.name = "o" + std::to_string(number);
    Transaction t;
    t.touch(object).write(object, number, Buffer::zeros(number % 3 == 0 ? 9'000 : number * 7));
    auto entry = std::make_shared<Journal::Entry>();
    entry->record = encode_record({1, 0}, t);
    entry->sequence = number;
    (*journal)->append(std::move(entry));
    if (number % 2) (*journal)->kick();
  }
  (*journal)->kick();
  (*journal)->stop();
  return medium;
}

struct Input {
  ByteView bytes;
  std::size_t at = 0;
  std::uint8_t next() { return at < bytes.size() ? static_cast<std::uint8_t>(bytes[at++]) : 0; }
  std::uint32_t number() { return next() | next() << 8u | next() << 16u; }
  bool more() const { return at < bytes.size(); }
};

}  // namespace

/// Raw bytes over superblocks and ring, or bytes flipped, blocks moved and zeroed in a journal that was in order.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Medium whole = written();
  Input input{std::as_bytes(std::span(data, size))};
  Medium medium = whole;
  std::vector<std::byte>& bytes = medium.bytes;
  JournalPosition from;
  from.offset = input.next() & 1 ? input.number() : 0;
  from.lap = input.next() & 1;
  from.sequence = input.next() & 3;
  while (input.more()) {
    std::uint64_t at = input.number() % (area_bytes - journal_block_bytes);
    switch (input.next() % 4) {
      case 0:
        bytes[at] ^= std::byte{input.next()};
        break;
      case 1:
        std::memset(&bytes[at / 512 * 512], 0, 512);
        break;
      case 2: {  // a torn or misplaced write
        std::uint64_t source = input.number() % (area_bytes - journal_block_bytes);
        std::memmove(&bytes[at / 512 * 512], &bytes[source / 512 * 512], 512);
        break;
      }
      default:
        for (unsigned count = input.next(); count > 0 && input.more(); --count, ++at)
          bytes[at % area_bytes] = std::byte{input.next()};
    }
  }
  auto journal = Journal::open(std::make_unique<MemoryDevice>(medium), store);
  if (!journal) return 0;
  std::uint64_t sequence = from.sequence;
  auto end = (*journal)->replay(from, [&](JournalPosition at, const Buffer& body) -> Result<> {
    CHECK(at.sequence == ++sequence);
    (void)decode_record(body);
    return {};
  });
  if (end) CHECK(end->sequence == sequence);
  return 0;
}
