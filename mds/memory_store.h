#pragma once
#include <functional>

#include "mds/metadata_store.h"

namespace spirula::mds {

/// A MetadataStore in memory, for tests and simulation.
class MemoryStore : public MetadataStore {
 public:
  struct Object {
    std::string bytes;
    std::map<std::string, Buffer> names;
    std::optional<Buffer> parent;
    msg::Time mtime;
  };
  std::map<std::string, Object> metadata;
  std::map<std::string, Object> data;
  /// Asked before each change; an error refuses it and everything after it, like a crash or a blocklisting would.
  std::function<Result<>()> before_change;
  std::uint64_t changes = 0;
  std::function<Task<>()> delay;          ///< each change waits for it
  std::function<Task<>()> delay_of_cuts;  ///< and each truncation for this one
  std::size_t message_bytes_largest = 0;  ///< of a change's names and bytes

  Task<Result<Buffer>> read(std::string object) override;
  Task<Result<>> write_full(std::string object, Buffer bytes) override;
  Task<Result<>> write(std::string object, std::uint64_t offset, Buffer bytes) override;
  Task<Result<>> remove(std::string object) override;
  Task<Result<Names>> names(std::string object, std::string after, std::uint64_t count_max) override;
  Task<Result<Buffer>> name(std::string object, std::string key) override;
  Task<Result<>> update_names(std::string object, NamesUpdate update) override;
  Task<Result<Buffer>> parent(std::int64_t pool, std::string object) override;
  Task<Result<>> set_parent(std::int64_t pool, std::string object, Buffer value) override;
  Task<Result<>> purge(Ino ino, msg::FileLayout layout, std::uint64_t size) override;
  Task<Result<>> truncate(Ino ino, msg::FileLayout layout, std::uint64_t from, std::uint64_t to,
                          std::uint32_t truncate_sequence) override;
  Task<Result<Probed>> probe(Ino ino, msg::FileLayout layout, std::uint64_t from, std::uint64_t to) override;

 private:
  Task<Result<>> change(std::size_t bytes = 0);
};

}  // namespace spirula::mds
