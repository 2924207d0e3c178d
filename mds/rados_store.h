#pragma once
#include "base/shard.h"
#include "mds/metadata_store.h"

namespace spirula::librados {
class Objecter;
}

namespace spirula::mds {

/// The MetadataStore over RADOS. What frees space or keeps the MDS going is written to a full cluster too.
class RadosStore : public MetadataStore {
 public:
  RadosStore(Shard& shard, librados::Objecter& objecter, std::int64_t metadata_pool)
      : shard_(shard), objecter_(objecter), pool_(metadata_pool) {}

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
  Task<Result<>> stat_data(msg::FileLayout layout, Ino ino, std::uint64_t number, Probed& probed);
  Task<Result<>> remove_data(std::int64_t pool, std::string name_space, std::string object);
  Task<Result<>> cut_data(std::int64_t pool, std::string name_space, std::string object, std::uint64_t size,
                          std::uint32_t truncate_sequence);

  Shard& shard_;
  librados::Objecter& objecter_;
  std::int64_t pool_;
};

}  // namespace spirula::mds
