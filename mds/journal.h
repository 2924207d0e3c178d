#pragma once
#include <deque>
#include <functional>

#include "mds/batch.h"
#include "mds/metadata_store.h"

/// The journal of rank 0: objects "200.<n>", n = 0 the header, others segments of frames, one Batch each. One append is
/// under way at a time and each is one atomic object write, so the journal always ends cleanly after some batch.
namespace spirula::mds {

struct JournalHeader {
  static constexpr std::uint8_t version = 1, compat = 1;
  static constexpr std::uint64_t magic_value = 0x316a'7364'6d73'7073;  // "spsmdsj1"
  std::uint64_t magic = magic_value;
  std::uint64_t first_segment = 1;
  static void fields(auto& self, auto& wire) {
    wire(self.magic);
    wire(self.first_segment);
  }
};

class Journal {
 public:
  static constexpr std::uint64_t segment_bytes = 4 << 20;  ///< a segment past this gets no further batch

  explicit Journal(MetadataStore& store) : store_(store) {}

  /// An empty journal, replacing whatever was there.
  Task<Result<>> format();
  /// Reads it from the first segment kept and hands over every batch in order; appends go on after the last.
  /// Errc::not_found: never formatted. Errc::malformed: damaged; problem() says where, and nothing may be appended.
  Task<Result<>> replay(std::function<void(Batch)> apply);
  const std::string& problem() const { return problem_; }

  /// The id the next append gets.
  BatchId next() const { return next_; }
  BatchId committed() const { return next_.previous(); }
  /// Writes the batch, whose id is next(). After an error memory and journal may disagree: stop.
  Task<Result<>> append(Batch batch);
  /// Gives up segments that hold only batches before `oldest_needed`.
  Task<Result<>> trim(BatchId oldest_needed);

  std::uint64_t bytes() const;  ///< in the segments kept
  std::size_t segments() const { return segments_.size(); }
  static std::string object(std::uint64_t number);

 private:
  struct Segment {
    std::uint64_t number = 0;
    BatchId first;
    std::uint64_t bytes = 0;
  };
  Task<Result<bool>> exists(std::uint64_t number);
  Task<Result<>> remove_before(std::uint64_t first);
  Result<> read_segment(const Buffer& bytes, Segment& segment, const std::function<void(Batch)>& apply);

  MetadataStore& store_;
  std::deque<Segment> segments_;
  std::uint64_t next_segment_ = 1;
  BatchId next_{1};
  bool open_new_segment_ = true;
  std::string problem_;
};

}  // namespace spirula::mds
