#include "base/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>

namespace spirula {

void Timing::record(Duration took) {
  auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(0, took.count()) / 1000);
  std::size_t bucket = std::min<std::size_t>(std::bit_width(us), buckets - 1);
  histogram_[bucket].fetch_add(1, std::memory_order_relaxed);
  count_.fetch_add(1, std::memory_order_relaxed);
  sum_ns_.fetch_add(took.count(), std::memory_order_relaxed);
}

Duration Timing::percentile(double share) const {
  std::uint64_t total = count();
  if (total == 0) return Duration::zero();
  auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(total));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < buckets; ++i) {
    seen += in_bucket(i);
    if (seen > wanted || seen == total) return upper_bound(i);
  }
  return upper_bound(buckets - 1);
}

template <class T>
T& Metrics::find_or_add(std::deque<Row<T>>& rows, std::string_view section, std::string_view name,
                        std::string_view help) {
  std::lock_guard lock(mutex_);
  for (Row<T>& row : rows)
    if (row.section == section && row.name == name) return row.figure;
  return rows.emplace_back(section, name, help).figure;
}

Counter& Metrics::counter(std::string_view section, std::string_view name, std::string_view help) {
  return find_or_add(counters_, section, name, help);
}
Gauge& Metrics::gauge(std::string_view section, std::string_view name, std::string_view help) {
  return find_or_add(gauges_, section, name, help);
}
Timing& Metrics::timing(std::string_view section, std::string_view name, std::string_view help) {
  return find_or_add(timings_, section, name, help);
}

std::string Metrics::to_json() const {
  std::lock_guard lock(mutex_);
  std::map<std::string, std::map<std::string, std::string>> sections;
  for (const auto& row : counters_) sections[row.section][row.name] = fmt::to_string(row.figure.value());
  for (const auto& row : gauges_) sections[row.section][row.name] = fmt::to_string(row.figure.value());
  for (const auto& row : timings_) {
    double sum = std::chrono::duration<double>(row.figure.sum()).count();
    std::uint64_t count = row.figure.count();
    sections[row.section][row.name] = fmt::format(R"({{"avgcount":{},"sum":{:.9f},"avgtime":{:.9f},"p99":{:.6f}}})",
                                                  count, sum, count ? sum / static_cast<double>(count) : 0.0,
                                                  std::chrono::duration<double>(row.figure.percentile(0.99)).count());
  }
  std::string text = "{";
  for (const auto& [section, rows] : sections) {
    text += fmt::format("{}\"{}\":{{", text.size() > 1 ? "," : "", section);
    bool first = true;
    for (const auto& [name, value] : rows) {
      text += fmt::format("{}\"{}\":{}", first ? "" : ",", name, value);
      first = false;
    }
    text += "}";
  }
  return text + "}";
}

std::string Metrics::to_prometheus() const {
  std::lock_guard lock(mutex_);
  std::string text;
  auto head = [&](const auto& row, const char* kind) {
    std::string name = fmt::format("spirula_{}_{}", row.section, row.name);
    text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, row.help, name, kind);
    return name;
  };
  for (const auto& row : counters_) {
    std::string name = head(row, "counter");
    text += fmt::format("{} {}\n", name, row.figure.value());
  }
  for (const auto& row : gauges_) {
    std::string name = head(row, "gauge");
    text += fmt::format("{} {}\n", name, row.figure.value());
  }
  for (const auto& row : timings_) {
    std::string name = head(row, "histogram");
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i + 1 < Timing::buckets; ++i) {
      seen += row.figure.in_bucket(i);
      double bound = std::chrono::duration<double>(Timing::upper_bound(i)).count();
      text += fmt::format("{}_bucket{{le=\"{}\"}} {}\n", name, bound, seen);
    }
    text += fmt::format("{}_bucket{{le=\"+Inf\"}} {}\n{}_sum {}\n{}_count {}\n", name, row.figure.count(), name,
                        std::chrono::duration<double>(row.figure.sum()).count(), name, row.figure.count());
  }
  return text;
}

}  // namespace spirula
