#include "filestore/object_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/codec.h"
#include "base/coroutine.h"
#include "base/crc32c.h"
#include "filestore/admission.h"
#include "filestore/error.h"
#include "filestore/limits.h"

namespace spirula::filestore {
namespace {

constexpr std::uint64_t magic = 0x5443454a424f5053;  // "SPOBJECT"
constexpr std::uint32_t section_bytes_max = limits::transaction_bytes_max;
/// Omap entries and data are gathered to about this.
constexpr std::size_t section_bytes = 1 << 20;

enum class Kind : std::uint32_t { head = 1, data = 2, omap = 3, end = 4 };

struct Head {
  static constexpr std::uint8_t version = 1, compat = 1;
  ObjectId id;
  std::uint64_t size = 0;
  std::map<std::string, Buffer> attributes;
  bool has_header = false;
  Buffer header;
  static void fields(auto& self, auto& wire) {
    wire(self.id);
    wire(self.size);
    wire(self.attributes);
    wire(self.has_header);
    wire(self.header);
  }
};
struct Data {
  std::uint64_t offset = 0;
  Buffer bytes;
  static void fields(auto& self, auto& wire) {
    wire(self.offset);
    wire(self.bytes);
  }
};
struct Section {
  Kind kind;
  Buffer body;
};

Result<> write_all(int fd, ByteView bytes) {
  while (!bytes.empty()) {
    ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return last_errno();
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return {};
}
/// Errc::malformed at the end of the file.
Result<> read_all(int fd, std::span<std::byte> into) {
  while (!into.empty()) {
    ssize_t got = ::read(fd, into.data(), into.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return last_errno();
    if (got == 0) return Errc::malformed;
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Result<> write_section(int fd, Kind kind, const Buffer& body) {
  Encoder head;
  head(kind);
  head(static_cast<std::uint32_t>(body.size()));
  head(crc32c(~0u, body.view()));
  TRY(write_all(fd, head.take().view()));
  return write_all(fd, body.view());
}

Result<Section> read_section(int fd) {
  Buffer head = Buffer::allocate(12);
  TRY(read_all(fd, {head.mutable_data(), head.size()}));
  Decoder wire(head);
  auto kind = static_cast<Kind>(wire.read<std::uint32_t>());
  auto length = wire.read<std::uint32_t>();
  auto crc = wire.read<std::uint32_t>();
  if (length > section_bytes_max) return Errc::malformed;
  Section section{kind, Buffer::allocate(length)};
  TRY(read_all(fd, {section.body.mutable_data(), length}));
  if (crc32c(~0u, section.body.view()) != crc) return Errc::malformed;
  return section;
}

/// What the object is called until it is whole; of the same hash, so in the same collection.
ObjectId unfinished(ObjectId id) {
  id.name += std::string_view("\0importing", 10);
  return id;
}

}  // namespace

Result<> export_object(Inspector& store, const Inspector::Entry& entry, int fd) {
  Encoder begin;
  begin(magic);
  TRY(write_all(fd, begin.take().view()));
  Head head{entry.id, entry.onode.size, entry.onode.attributes, entry.onode.has_header, {}};
  if (head.has_header) {
    TRY(head.header, store.omap_header(entry));
  }
  TRY(write_section(fd, Kind::head, encode(head)));
  TRY(store.data(entry, [&](std::uint64_t offset, ByteView bytes) -> Result<> {
    return write_section(fd, Kind::data, encode(Data{offset, Buffer::copy_of(bytes)}));
  }));
  std::map<std::string, Buffer> entries;
  std::size_t gathered = 0;
  auto flush = [&]() -> Result<> {
    if (entries.empty()) return {};
    TRY(write_section(fd, Kind::omap, encode(entries)));
    entries.clear();
    gathered = 0;
    return {};
  };
  TRY(store.omap(entry, [&](std::string_view name, std::string_view value) -> Result<> {
    if (gathered + name.size() + value.size() > section_bytes) TRY(flush());
    gathered += name.size() + value.size();
    entries.emplace(name, Buffer::copy_of(value));
    return {};
  }));
  TRY(flush());
  return write_section(fd, Kind::end, {});
}

Task<Result<ObjectId>> import_object(ObjectStore& store, int fd, bool replace) {
  Buffer begin = Buffer::allocate(8);
  CO_TRY(read_all(fd, {begin.mutable_data(), begin.size()}));
  if (Decoder(begin).read<std::uint64_t>() != magic) co_return Errc::malformed;
  CO_TRY(Section first, read_section(fd));
  if (first.kind != Kind::head) co_return Errc::malformed;
  CO_TRY(Head head, decode<Head>(first.body));

  auto all = co_await store.collections();
  CO_TRY(all);
  auto home = std::ranges::find_if(*all, [&](const auto& c) { return collection_holds(c.id, c.bits, head.id); });
  if (home == all->end()) co_return Errc::not_found;
  auto there = co_await store.stat(head.id);
  if (there && !replace) co_return Errc::exists;

  const ObjectId part = unfinished(head.id);
  Transaction clear;
  clear.remove(part).touch(part);
  Result<> done = co_await store.submit(home->id, std::move(clear));
  bool whole = false;
  while (done && !whole) {
    Result<Section> section = read_section(fd);
    if (!section) {
      done = section.error();
      break;
    }
    Transaction t;
    if (section->kind == Kind::data) {
      auto data = decode<Data>(section->body);
      if (!data || data->offset > head.size || data->bytes.size() > head.size - data->offset) {
        done = Errc::malformed;
        break;
      }
      t.write(part, data->offset, data->bytes);
    } else if (section->kind == Kind::omap) {
      auto entries = decode<std::map<std::string, Buffer>>(section->body);
      if (!entries) {
        done = entries.error();
        break;
      }
      t.omap_set(part, std::move(*entries));
    } else if (section->kind == Kind::end) {
      whole = true;
      if (head.has_header) t.omap_set_header(part, head.header);
      t.set_attributes(part, head.attributes);
      t.truncate(part, head.size);
      t.add(head.id, Transaction::Rename{part});
    } else {
      done = Errc::malformed;
      break;
    }
    done = co_await store.submit(home->id, std::move(t));
  }
  if (!done) {
    Transaction undo;
    undo.remove(part);
    Result<> undone = co_await store.submit(home->id, std::move(undo));
    (void)undone;  // the store says itself what is wrong with it
    co_return done.error();
  }
  co_return head.id;
}

}  // namespace spirula::filestore
