#include "mds/memory_store.h"

#include <fmt/format.h>

#include "base/coroutine.h"

namespace spirula::mds {

std::string MetadataStore::directory_object(Ino ino) {
  return fmt::format("{:x}.{:08x}", ino.value, 0);
}

std::string MetadataStore::data_object(Ino ino, std::uint64_t number) {
  return fmt::format("{:x}.{:08x}", ino.value, number);
}

Task<Result<>> MemoryStore::change(std::size_t bytes) {
  ++changes;
  message_bytes_largest = std::max(message_bytes_largest, bytes);
  if (delay) co_await delay();
  if (before_change) co_return before_change();
  co_return Result<>{};
}

Task<Result<Buffer>> MemoryStore::read(std::string object) {
  auto it = metadata.find(object);
  if (it == metadata.end()) co_return Errc::not_found;
  co_return Buffer::copy_of(it->second.bytes);
}

Task<Result<>> MemoryStore::write_full(std::string object, Buffer bytes) {
  CO_TRY(co_await change(bytes.size()));
  metadata[object].bytes = bytes.to_string();
  co_return Result<>{};
}

Task<Result<>> MemoryStore::write(std::string object, std::uint64_t offset, Buffer bytes) {
  CO_TRY(co_await change(bytes.size()));
  std::string& whole = metadata[object].bytes;
  if (whole.size() < offset + bytes.size()) whole.resize(offset + bytes.size());
  whole.replace(offset, bytes.size(), bytes.text());
  co_return Result<>{};
}

Task<Result<>> MemoryStore::remove(std::string object) {
  CO_TRY(co_await change());
  metadata.erase(object);
  co_return Result<>{};
}

Task<Result<MetadataStore::Names>> MemoryStore::names(std::string object, std::string after, std::uint64_t count_max) {
  auto found = metadata.find(object);
  if (found == metadata.end()) co_return Errc::not_found;
  Names page;
  auto it = found->second.names.upper_bound(after);
  if (after.empty()) it = found->second.names.begin();
  for (; it != found->second.names.end() && page.values.size() < count_max; ++it) page.values.insert(*it);
  page.more = it != found->second.names.end();
  co_return page;
}

Task<Result<Buffer>> MemoryStore::name(std::string object, std::string key) {
  auto found = metadata.find(object);
  if (found == metadata.end() || !found->second.names.contains(key)) co_return Errc::not_found;
  co_return found->second.names[key];
}

Task<Result<>> MemoryStore::update_names(std::string object, NamesUpdate update) {
  std::size_t bytes = 0;
  for (const auto& [name, value] : update.set) bytes += name.size() + value.size();
  for (const std::string& name : update.remove) bytes += name.size();
  CO_TRY(co_await change(bytes));
  Object& known = metadata[object];
  for (const std::string& name : update.remove) known.names.erase(name);
  for (auto& [name, value] : update.set) known.names[name] = value;
  if (update.parent) known.parent = update.parent;
  co_return Result<>{};
}

Task<Result<Buffer>> MemoryStore::parent(std::int64_t pool, std::string object) {
  auto& objects = pool < 0 ? metadata : data;
  auto it = objects.find(object);
  if (it == objects.end() || !it->second.parent) co_return Errc::not_found;
  co_return *it->second.parent;
}

Task<Result<>> MemoryStore::set_parent(std::int64_t pool, std::string object, Buffer value) {
  CO_TRY(co_await change());
  (pool < 0 ? metadata : data)[object].parent = value;
  co_return Result<>{};
}

Task<Result<>> MemoryStore::purge(Ino ino, msg::FileLayout layout, std::uint64_t size) {
  CO_TRY(co_await change());
  std::uint64_t count = layout.object_size ? size / layout.object_size + 1 : 1;
  for (std::uint64_t i = 0; i < count; ++i) data.erase(data_object(ino, i));
  co_return Result<>{};
}

Task<Result<>> MemoryStore::truncate(Ino ino, msg::FileLayout layout, std::uint64_t from, std::uint64_t to,
                                     std::uint32_t) {
  if (delay_of_cuts) co_await delay_of_cuts();
  CO_TRY(co_await change());
  for (std::uint64_t begin = 0, i = 0; begin < from; begin += layout.object_size, ++i) {
    auto it = data.find(data_object(ino, i));
    if (it == data.end()) continue;
    std::string& bytes = it->second.bytes;
    if (begin + bytes.size() > to) bytes.resize(to > begin ? to - begin : 0);
  }
  co_return Result<>{};
}

Task<Result<MetadataStore::Probed>> MemoryStore::probe(Ino ino, msg::FileLayout layout, std::uint64_t from,
                                                       std::uint64_t to) {
  Probed probed;
  if (!layout.object_size) co_return probed;
  for (std::uint64_t i = from / layout.object_size; i * layout.object_size < to; ++i) {
    auto it = data.find(data_object(ino, i));
    if (it == data.end()) continue;
    if (!it->second.bytes.empty()) probed.end = i * layout.object_size + it->second.bytes.size();
    probed.mtime = std::max(probed.mtime, it->second.mtime);
  }
  co_return probed;
}

}  // namespace spirula::mds
