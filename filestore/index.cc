#include "filestore/index.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/table_properties_collectors.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <mutex>

#include "base/log.h"
#include "filestore/faults.h"

#if __has_feature(thread_sanitizer)
/// Debian's librocksdb is not instrumented: ThreadSanitizer sees its copies and comparisons, and what it does through
/// libstdc++ and our own copies of std::string's functions, but not the atomics that order them.
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:librocksdb.so\nrace:librocksdb.so\n";
}
#endif

namespace spirula::filestore {

struct IndexBatch::Impl {
  struct Row {
    std::size_t key_at, key_size, value_size;  ///< the value stands behind the key
    bool removed;
  };
  std::string bytes;  ///< of the rows that have not been sorted into the batch yet
  std::vector<Row> rows;
  rocksdb::WriteBatch batch;

  std::string_view key_of(const Row& row) const { return std::string_view(bytes).substr(row.key_at, row.key_size); }
  void add(std::string_view key, std::string_view value, bool removed);
  void sort_in();
};

namespace {

/// Rows are sorted in runs of about as many bytes.
constexpr std::size_t run_bytes_max = 256 << 10;

rocksdb::Slice slice(std::string_view text) {
  return {text.data(), text.size()};
}
std::string_view view(const rocksdb::Slice& text) {
  return {text.data(), text.size()};
}

Result<> from_status(const rocksdb::Status& status) {
  if (status.ok()) return {};
  if (status.IsIncomplete()) return Errc::again;
  if (status.IsNoSpace()) return Errc::no_space;
  log_error("filestore", "index: {}", status.ToString());
  return Errc::io;
}

class RocksMoment final : public Index::Moment {
 public:
  explicit RocksMoment(rocksdb::DB& db) : db_(db), snapshot_(db.GetSnapshot()) {}
  ~RocksMoment() override { db_.ReleaseSnapshot(snapshot_); }
  const rocksdb::Snapshot* get() const { return snapshot_; }

 private:
  rocksdb::DB& db_;
  const rocksdb::Snapshot* snapshot_;
};

class RocksCursor final : public IndexCursor {
 public:
  RocksCursor(rocksdb::DB& db, const key::Range& range, rocksdb::ReadOptions options) : range_(range) {
    lower_ = slice(range_.first);
    upper_ = slice(range_.last);
    options.iterate_lower_bound = &lower_;
    // Rows of objects are only walked to list them, in pages of hundreds of KiB: not worth the cache of what is used.
    if (range_.first.starts_with('O')) options.fill_cache = false;
    if (!range_.last.empty()) options.iterate_upper_bound = &upper_;
    iterator_.reset(db.NewIterator(options));
    iterator_->Seek(lower_);
  }
  bool valid() const override { return iterator_->Valid(); }
  std::string_view key() const override { return view(iterator_->key()); }
  std::string_view value() const override { return view(iterator_->value()); }
  void next() override { iterator_->Next(); }
  void seek(std::string_view key) override { iterator_->Seek(slice(key)); }
  Result<> status() const override { return from_status(iterator_->status()); }

 private:
  key::Range range_;
  rocksdb::Slice lower_, upper_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

class RocksIndex final : public Index {
 public:
  explicit RocksIndex(std::unique_ptr<rocksdb::DB> db, std::shared_ptr<rocksdb::Cache> cache)
      : db_(std::move(db)), cache_(std::move(cache)) {}
  ~RocksIndex() override { (void)db_->Close(); }

  Result<std::optional<std::string>> get(std::string_view key, Access access, const Moment* moment) override {
    std::string value;
    rocksdb::Status status = db_->Get(options(access, moment), slice(key), &value);
    if (status.IsNotFound()) return std::optional<std::string>{};
    TRY(from_status(status));
    // A table that is not open, and may not be opened for reading is not allowed, "may have" the key: RocksDB calls
    // that found and gives no value. An empty value is looked up again, then.
    if (access == Access::cached && value.empty()) return Errc::again;
    return std::optional<std::string>(std::move(value));
  }
  std::unique_ptr<IndexCursor> cursor(const key::Range& range, Access access, const Moment* moment) override {
    return std::make_unique<RocksCursor>(*db_, range, options(access, moment));
  }
  std::unique_ptr<Moment> moment() override { return std::make_unique<RocksMoment>(*db_); }
  Result<> write(IndexBatch& batch) override;
  std::uint64_t memory_bytes() override {
    std::uint64_t tables = 0;
    db_->GetIntProperty("rocksdb.cur-size-all-mem-tables", &tables);
    return tables + cache_->GetUsage();
  }

 private:
  static rocksdb::ReadOptions options(Access access, const Moment* moment) {
    rocksdb::ReadOptions options;
    if (access == Access::cached) options.read_tier = rocksdb::kBlockCacheTier;
    if (moment) options.snapshot = static_cast<const RocksMoment*>(moment)->get();
    return options;
  }
  std::unique_ptr<rocksdb::DB> db_;
  std::shared_ptr<rocksdb::Cache> cache_;
  /// RocksDB would write the batches that come at the same time as one, merged by the first thread; two lanes gain
  /// nothing by that, and without it a race detector that does not see into RocksDB sees who owns which batch.
  std::mutex write_mutex_;
};

}  // namespace

IndexBatch::IndexBatch() : impl_(std::make_unique<Impl>()) {}
IndexBatch::~IndexBatch() = default;

void IndexBatch::Impl::add(std::string_view key, std::string_view value, bool removed) {
  if (bytes.size() + key.size() + value.size() > run_bytes_max) sort_in();
  rows.push_back({bytes.size(), key.size(), value.size(), removed});
  bytes.append(key).append(value);
  if (bytes.size() > run_bytes_max) sort_in();  // one large row: it is not kept twice
}
void IndexBatch::Impl::sort_in() {
  std::ranges::sort(rows, {}, [this](const Row& row) { return std::pair(key_of(row), row.key_at); });
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    std::string_view key = key_of(row);
    if (i + 1 < rows.size() && key_of(rows[i + 1]) == key) continue;
    if (row.removed) {
      (void)batch.Delete(slice(key));
    } else {
      (void)batch.Put(slice(key), {key.data() + key.size(), row.value_size});
    }
  }
  rows.clear();
  bytes.clear();
  if (bytes.capacity() > 2 * run_bytes_max) bytes.shrink_to_fit();
}

void IndexBatch::put(std::string_view key, std::string_view value) {
  impl_->add(key, value, false);
}
void IndexBatch::remove(std::string_view key) {
  impl_->add(key, {}, true);
}
void IndexBatch::remove_range(const key::Range& range) {
  impl_->sort_in();
  (void)impl_->batch.DeleteRange(slice(range.first), slice(range.last));
}
std::size_t IndexBatch::bytes() const {
  return impl_->batch.GetDataSize() + impl_->bytes.size();
}
bool IndexBatch::empty() const {
  return impl_->rows.empty() && impl_->batch.Count() == 0;
}
void IndexBatch::clear() {
  impl_->rows.clear();
  impl_->bytes.clear();
  impl_->batch.Clear();
}

Result<> RocksIndex::write(IndexBatch& batch) {
  TRY(fault_at(FaultPoint::index_write));
  batch.impl().sort_in();
  rocksdb::WriteOptions options;
  options.sync = false;
  options.memtable_insert_hint_per_batch = true;
  std::lock_guard lock(write_mutex_);
  return from_status(db_->Write(options, &batch.impl().batch));
}

Result<std::unique_ptr<Index>> Index::open_read_only(const std::string& path) {
  rocksdb::Options options;
  options.max_open_files = 256;
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kAbsoluteConsistency;
  rocksdb::BlockBasedTableOptions table;
  auto cache = rocksdb::NewLRUCache(16 << 20);
  table.block_cache = cache;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  rocksdb::DB* db = nullptr;
  rocksdb::Status status = rocksdb::DB::OpenForReadOnly(options, path, &db);
  if (!status.ok()) {
    log_error("filestore", "index at {}: {}", path, status.ToString());
    return status.IsCorruption() ? Errc::malformed : Errc::io;
  }
  return std::make_unique<RocksIndex>(std::unique_ptr<rocksdb::DB>(db), std::move(cache));
}

Result<std::unique_ptr<Index>> Index::open(const std::string& path, std::uint64_t memory_bytes, bool create,
                                           int open_tables_max) {
  rocksdb::Options options;
  options.create_if_missing = create;
  options.error_if_exists = create;
  options.paranoid_checks = true;
  // Half of the memory for two memtables, half for blocks with the filters and the tables' own indexes among them.
  options.write_buffer_size = std::max<std::uint64_t>(memory_bytes / 4, 4 << 20);
  options.max_write_buffer_number = 2;
  options.max_background_jobs = 2;
  options.max_open_files = open_tables_max;
  options.table_cache_numshardbits = 2;
  // Batches are sorted: the place of the last row of a kind is near the next one's.
  // Most keys that are asked for are not in a memtable, and finding that out by its order takes long.
  options.memtable_whole_key_filtering = true;
  options.memtable_prefix_bloom_size_ratio = 0.02;
  options.memtable_insert_with_hint_prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(1));
  options.compression = rocksdb::kNoCompression;
  options.allow_fallocate = false;  // preallocated extents on copy-on-write files cost and gain nothing
  options.allow_mmap_reads = options.allow_mmap_writes = false;
  options.manual_wal_flush = false;
  options.max_total_wal_size = options.write_buffer_size * 4;
  options.keep_log_file_num = 2;
  options.max_log_file_size = 1 << 20;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  // Nobody writes while a snapshot is taken, so a log that ends in the middle of a record is damage.
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kAbsoluteConsistency;
  options.level_compaction_dynamic_level_bytes = true;
  // What a compaction has twice on the disk stays small beside the reserve of a small store (see space.h).
  options.max_bytes_for_level_base = 64 << 20;
  options.target_file_size_base = 16 << 20;
  options.max_compaction_bytes = 64 << 20;
  // Tables that are mostly deletions are compacted without waiting for company, so that deleting makes room.
  options.table_properties_collector_factories.push_back(
      rocksdb::NewCompactOnDeletionCollectorFactory(16'384, 8'192, 0.5));

  rocksdb::BlockBasedTableOptions table;
  auto cache = rocksdb::NewLRUCache(std::max<std::uint64_t>(memory_bytes / 2, 4 << 20), 4, false, 0.5);
  table.block_cache = cache;
  table.block_size = 4096;
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
  table.format_version = 5;
  table.checksum = rocksdb::kCRC32c;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));

  rocksdb::DB* db = nullptr;
  rocksdb::Status status = rocksdb::DB::Open(options, path, &db);
  if (!status.ok()) {
    log_error("filestore", "index at {}: {}", path, status.ToString());
    return status.IsCorruption() ? Errc::malformed : Errc::io;
  }
  return std::make_unique<RocksIndex>(std::unique_ptr<rocksdb::DB>(db), std::move(cache));
}

}  // namespace spirula::filestore
