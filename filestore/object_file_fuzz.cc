#include <sys/mman.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <cstring>

#include "base/check.h"
#include "base/codec.h"
#include "base/coroutine.h"
#include "base/crc32c.h"
#include "base/shard.h"
#include "filestore/file_descriptor.h"
#include "filestore/memory_store.h"
#include "filestore/object_file.h"

/// What an administrator hands `filestore-tool import`: any file, or sections of any content with good checksums. The
/// object is there whole, or nothing is.
namespace {

using namespace spirula;
using namespace spirula::filestore;

/// Byte by byte as it is, or (first bit) sections of one byte kind, two bytes length and the body.
std::string file_from(std::string_view input) {
  if (!(input[0] & 1)) return std::string(input.substr(1));
  std::string file = "SPOBJECT";
  for (std::size_t at = 1; at + 3 <= input.size();) {
    auto byte = [&](std::size_t i) { return static_cast<unsigned char>(input[at + i]); };
    std::size_t length = std::min<std::size_t>(byte(1) | byte(2) << 8, input.size() - at - 3);
    std::string_view body = input.substr(at + 3, length);
    Encoder head;
    head(std::uint32_t{byte(0)});
    head(static_cast<std::uint32_t>(length));
    head(crc32c(~0u, as_bytes(body)));
    file += head.take().text();
    file += body;
    at += 3 + length;
  }
  return file;
}

Task<int> import_into(ObjectStore& store, int fd) {
  const CollectionId home{1, 0};
  Transaction make;
  make.create_collection(0);
  Result<> made = co_await store.submit(home, std::move(make));
  CHECK(made.has_value());
  auto imported = co_await import_object(store, fd, false);
  auto all = co_await store.list(home, std::nullopt, 10);
  CHECK(all && all->objects.size() == (imported ? 1u : 0u));
  if (imported) CHECK(all->objects.front() == *imported);
  co_return 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  static ShardThread thread("fuzz");
  std::string file = file_from({reinterpret_cast<const char*>(data), size});
  FileDescriptor fd(::memfd_create("object", MFD_CLOEXEC));
  CHECK(::write(fd.get(), file.data(), file.size()) == static_cast<ssize_t>(file.size()));
  ::lseek(fd.get(), 0, SEEK_SET);
  auto run = [fd = fd.get()]() -> Task<int> {
    auto store = MemoryStore::make();
    co_return co_await import_into(*store, fd);
  };
  auto task = run();
  boost::asio::co_spawn(thread.shard().context(), std::move(task), boost::asio::use_future).get();
  return 0;
}
