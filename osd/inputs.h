#pragma once
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "filestore/object_store.h"
#include "osd/object_info.h"

namespace spirula::osd {

using filestore::CollectionId;
using filestore::Extent;
using filestore::ObjectPage;
using filestore::ObjectStore;
using filestore::OmapPage;
using Attributes = std::map<std::string, Buffer>;

/// What one request reads from the store. The interpreter is a plain function, so it cannot wait: it asks here; what
/// has not been read yet is noted and answered with nullptr, the PG fetches all of it at once and runs the interpreter
/// again from the start. A run asks the same questions in the same order as the one before as long as the answers do
/// not change, which they do not: the PG holds the object still meanwhile.
class Inputs {
 public:
  using OmapValues = std::map<std::string, Buffer>;

  /// Each returns nullptr when the answer has to be fetched first. An error is the store's.
  const Result<BufferList>* data(const ObjectId& object, std::uint64_t offset, std::uint64_t length);
  const Result<std::vector<Extent>>* extents(const ObjectId& object, std::uint64_t offset, std::uint64_t length);
  const Result<Attributes>* attributes(const ObjectId& object);
  const Result<Buffer>* omap_header(const ObjectId& object);
  const Result<OmapValues>* omap_values(const ObjectId& object, const std::set<std::string>& keys);
  const Result<OmapPage>* omap_page(const ObjectId& object, const std::string& after, const std::string& from,
                                    std::size_t count_max, std::size_t bytes_max);
  const Result<ObjectPage>* objects(const ObjectId& start, std::size_t count_max);

  /// Before every run.
  void begin() {
    next_ = 0;
    incomplete_ = false;
  }
  /// Did the last run lack something?
  bool incomplete() const { return incomplete_; }
  /// Bytes of data this request has asked to read; the interpreter keeps it below limits::read_size_max.
  std::uint64_t data_bytes() const { return data_bytes_; }
  /// What was fetched exceeds limits::read_size_max: the request is refused with -E2BIG.
  bool too_large() const { return held_bytes_ > limits::read_size_max; }
  /// Reads what memory has of what was asked for. False: something is missing still, or it gets too large.
  bool fetch_now(ObjectStore& store);
  /// Reads all that was asked for and is not there yet; stops when it gets too large.
  Task<> fetch(ObjectStore& store, CollectionId collection);

 private:
  enum class Kind : std::uint8_t { data, extents, attributes, omap_header, omap_values, omap_page, objects };
  struct Question {
    Kind kind;
    ObjectId object;
    std::uint64_t offset = 0, length = 0;
    std::string after, from;
    std::set<std::string> keys;
    friend bool operator==(const Question&, const Question&) = default;
  };
  using Answer = std::variant<std::monostate, Result<BufferList>, Result<std::vector<Extent>>, Result<Attributes>,
                              Result<Buffer>, Result<OmapPage>, Result<ObjectPage>>;
  struct Entry {
    Question question;
    Answer answer;
    std::uint64_t answer_bytes() const;
  };
  template <class T>
  const T* ask(Question question);
  Task<> fetch_one(ObjectStore& store, CollectionId collection, Entry& entry);

  std::deque<Entry> entries_;  ///< answers are pointed to while further questions come
  std::size_t next_ = 0;
  bool incomplete_ = false;
  std::uint64_t data_bytes_ = 0;
  std::uint64_t held_bytes_ = 0;  ///< of all answers
};

}  // namespace spirula::osd
