#include "filestore/media_check.h"

#include <algorithm>

#include "base/coroutine.h"
#include "filestore/error.h"
#include "filestore/key.h"

namespace spirula::filestore {
namespace {

constexpr std::size_t page_objects = 100;
/// Read between two looks at the clock.
constexpr std::uint64_t step_bytes = 4 << 20;

/// Sleeps so that `bytes` since `begin` are no more than the rate allows.
Task<Result<>> keep_pace(Clock& clock, MonotonicTime begin, std::uint64_t bytes, std::uint64_t bytes_per_second) {
  if (bytes_per_second == 0) co_return Result<>{};
  double seconds = static_cast<double>(bytes) / static_cast<double>(bytes_per_second);
  auto due = begin + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  MonotonicTime now = clock.now();
  if (due <= now) co_return Result<>{};
  co_return co_await clock.sleep(due - now);
}

}  // namespace

Task<Result<MediaCheckReport>> check_media(ObjectStore& store, Clock& clock, MediaCheckOptions options,
                                           std::function<void(const BadObject&)> on_bad, std::function<bool()> go_on) {
  MediaCheckReport report;
  const MonotonicTime begin = clock.now();
  auto all = co_await store.collections();
  CO_TRY(all);
  std::ranges::sort(*all, {}, [](const CollectionInfo& c) { return std::pair(c.id.pool, reverse_bits(c.id.seed)); });
  for (const CollectionInfo& collection : *all) {
    std::optional<ObjectId> start = options.start;
    do {
      auto page = co_await store.list(collection.id, start, page_objects);
      if (!page && is(page.error(), Errc::not_found)) break;  // the collection is gone
      CO_TRY(page);
      for (const ObjectId& object : page->objects) {
        if (go_on && !go_on()) {
          report.next = object;
          co_return report;
        }
        BadObject bad{object, {}, {}};
        auto found = co_await store.stat(object);
        if (!found && is(found.error(), Errc::not_found)) continue;
        if (!found) bad.why = found.error();
        Result<std::vector<Extent>> allocated = std::vector<Extent>{};
        if (found) allocated = co_await store.extents(object, 0, found->size);
        for (std::uint64_t at = 0; found && at < found->size; at += step_bytes) {
          std::uint64_t here = std::min(step_bytes, found->size - at);
          if (allocated && !overlaps(*allocated, at, here)) continue;
          // Whole blocks, also when the object has grown meanwhile.
          auto ranges = co_await store.verify(object, at, step_bytes);
          if (!ranges && is(ranges.error(), Errc::not_found)) break;
          if (!ranges) {
            bad.why = ranges.error();
            break;
          }
          bad.ranges.insert(bad.ranges.end(), ranges->begin(), ranges->end());
          report.bytes += here;
          Result<> slept = co_await keep_pace(clock, begin, report.bytes, options.bytes_per_second);
          CO_TRY(slept);
        }
        ++report.objects;
        if (bad.ranges.empty() && !bad.why) continue;
        ++report.bad;
        if (on_bad) on_bad(bad);
      }
      start = page->next;
    } while (start);
  }
  co_return report;
}

bool overlaps(const std::vector<Extent>& extents, std::uint64_t offset, std::uint64_t length) {
  auto before = [offset](const Extent& each) { return each.offset + each.length <= offset; };
  auto found = std::ranges::partition_point(extents, before);
  return found != extents.end() && found->offset < offset + length;
}

}  // namespace spirula::filestore
