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
  entries_.push_back({entry.at, entry.request});
  if (entry.request.client.number >= 0)
    answers_.insert_or_assign(entry.request, Answer{entry.at, entry.user_version, entry.result});
}

void PgLog::forget_before(Version keep_from) {
  while (entries_.front().at < keep_from) {
    auto answer = answers_.find(entries_.front().request);
    if (answer != answers_.end() && answer->second.at == entries_.front().at) answers_.erase(answer);
    tail_ = entries_.front().at;
    entries_.pop_front();
  }
}

bool PgLog::contains(Version at) const {
  auto found = std::ranges::lower_bound(entries_, at, {}, &Indexed::at);
  return at == tail_ || (found != entries_.end() && found->at == at);
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
  Version keep_from = entries_[entries_.size() - entries_max].at;
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
  auto answer = answers_.find(request);
  if (answer != answers_.end() && answer->second.at == at) answers_.erase(answer);
  totals_.bytes -= delta.bytes;
  totals_.objects -= delta.objects;
  totals_.clones -= delta.clones;
  totals_.omap_objects -= delta.omap_objects;
}

std::optional<PgLog::Answer> PgLog::find(const RequestId& request) const {
  auto it = answers_.find(request);
  if (it == answers_.end()) return std::nullopt;
  return it->second;
}

Result<> PgLog::load(const std::string& key, const Buffer& value) {
  TRY(auto entry, decode<PgLogEntry>(value));
  if (entry.at <= head_ || key != entry_key(entry.at)) return Errc::malformed;
  index(entry);
  return {};
}

}  // namespace spirula::osd
