#include "osd/pg_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/codec.h"

namespace spirula::osd {

std::string PgLog::entry_key(Version at) {
  return fmt::format("{}{:08x}.{:016x}", entries_first, at.epoch.value, at.version);
}

void PgLog::index(const PgLogEntry& entry) {
  head_ = entry.at;
  last_user_version_ = std::max(last_user_version_, entry.user_version);
  totals_ = entry.totals;
  entries_.push_back({.version = entry.at.version,
                      .user_version = entry.user_version,
                      .tid = entry.request.tid,
                      .client = entry.request.client.number,
                      .epoch = entry.at.epoch.value,
                      .incarnation = entry.request.incarnation,
                      .client_type = entry.request.client.type});
  std::size_t last = first_ + entries_.size() - 1;
  if (last * 4 <= table_.size() * 3) return enter(static_cast<std::uint32_t>(last));
  table_.assign(std::max<std::size_t>(2 * entries_.size(), 16), 0);
  first_ = 1;
  for (std::uint32_t position = 1; position <= entries_.size(); ++position) enter(position);
}

void PgLog::enter(std::uint32_t position) {
  const Place& entry = entries_[position - first_];
  if (entry.client < 0) return;
  std::size_t slot = RequestIdHash{}(entry.request()) % table_.size();
  while (table_[slot] != 0) slot = slot + 1 == table_.size() ? 0 : slot + 1;
  table_[slot] = position;
}

std::optional<std::size_t> PgLog::look_up(const RequestId& request) const {
  if (table_.empty()) return std::nullopt;
  std::optional<std::size_t> newest;
  std::size_t slot = RequestIdHash{}(request) % table_.size();
  for (; table_[slot] != 0; slot = slot + 1 == table_.size() ? 0 : slot + 1) {
    if (table_[slot] < first_) continue;  // forgotten
    std::size_t index = table_[slot] - first_;
    if (index >= newest.value_or(0) && entries_[index].request() == request) newest = index;
  }
  return newest;
}

void PgLog::forget_before(Version keep_from) {
  while (entries_.front().at() < keep_from) {
    tail_ = entries_.front().at();
    entries_.pop_front();
    ++first_;
  }
}

bool PgLog::contains(Version at) const {
  auto found = std::ranges::lower_bound(entries_, at, {}, &Place::at);
  return at == tail_ || (found != entries_.end() && found->at() == at);
}

void PgLog::follow(const PgLogEntry& entry, Version keep_from) {
  index(entry);
  if (keep_from <= entry.at) forget_before(keep_from);
}

Version PgLog::append(PgLogEntry& entry, const PgTotals& delta, std::size_t entries_max,
                      filestore::Transaction& transaction) {
  CHECK(entry.at > head_, "log versions ascend");
  entry.totals = totals_;
  entry.totals += delta;
  std::map<std::string, Buffer> values;
  values.emplace(entry_key(entry.at), encode(entry));
  transaction.collection_set(std::move(values));
  index(entry);
  if (entries_.size() < entries_max + limits::log_trim_batch) return {};
  Version keep_from = entries_[entries_.size() - entries_max].at();
  forget_before(keep_from);
  transaction.add(filestore::Transaction::CollectionRemoveRange{entries_first, entry_key(keep_from)});
  transaction.collection_set({{tail_key, encode(tail_)}});
  return keep_from;
}

Result<> PgLog::load_tail(const Buffer& value) {
  TRY(tail_, decode<Version>(value));
  head_ = tail_;
  return {};
}

void PgLog::retract(const RequestId& request, Version at, const PgTotals& delta) {
  auto index = look_up(request);
  if (index && entries_[*index].at() == at) entries_[*index].client = -1;
  totals_.bytes -= delta.bytes;
  totals_.objects -= delta.objects;
  totals_.clones -= delta.clones;
  totals_.omap_objects -= delta.omap_objects;
}

std::optional<PgLog::Answer> PgLog::find(const RequestId& request) const {
  auto index = look_up(request);
  if (!index) return std::nullopt;
  return Answer{entries_[*index].at(), entries_[*index].user_version};
}

Result<> PgLog::load(const std::string& key, const Buffer& value) {
  TRY(auto entry, decode<PgLogEntry>(value));
  if (entry.at <= head_ || key != entry_key(entry.at)) return Errc::malformed;
  index(entry);
  return {};
}

}  // namespace spirula::osd
