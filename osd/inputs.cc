#include "osd/inputs.h"

#include "base/check.h"
#include "base/coroutine.h"

namespace spirula::osd {

template <class T>
const T* Inputs::ask(Question question) {
  std::size_t at = next_++;
  if (at < entries_.size() && entries_[at].question == question) {
    if (const T* answer = std::get_if<T>(&entries_[at].answer)) return answer;
  } else {
    // Answers that came since the last run led it elsewhere: what was asked from here on is stale.
    entries_.resize(at, Entry{});
    if (question.kind == Kind::data) data_bytes_ += question.length;
    entries_.push_back({std::move(question), {}});
  }
  incomplete_ = true;
  return nullptr;
}

const Result<BufferList>* Inputs::data(const ObjectId& object, std::uint64_t offset, std::uint64_t length) {
  return ask<Result<BufferList>>({Kind::data, object, offset, length, {}, {}, {}});
}
const Result<std::vector<Extent>>* Inputs::extents(const ObjectId& object, std::uint64_t offset, std::uint64_t length) {
  return ask<Result<std::vector<Extent>>>({Kind::extents, object, offset, length, {}, {}, {}});
}
const Result<Attributes>* Inputs::attributes(const ObjectId& object) {
  return ask<Result<Attributes>>({Kind::attributes, object, 0, 0, {}, {}, {}});
}
const Result<Buffer>* Inputs::omap_header(const ObjectId& object) {
  return ask<Result<Buffer>>({Kind::omap_header, object, 0, 0, {}, {}, {}});
}
const Result<Inputs::OmapValues>* Inputs::omap_values(const ObjectId& object, const std::set<std::string>& keys) {
  return ask<Result<OmapValues>>({Kind::omap_values, object, 0, 0, {}, {}, keys});
}
const Result<OmapPage>* Inputs::omap_page(const ObjectId& object, const std::string& after, const std::string& from,
                                          std::size_t count_max, std::size_t bytes_max) {
  return ask<Result<OmapPage>>({Kind::omap_page, object, count_max, bytes_max, after, from, {}});
}
const Result<ObjectPage>* Inputs::objects(const ObjectId& start, std::size_t count_max) {
  return ask<Result<ObjectPage>>({Kind::objects, start, count_max, 0, {}, {}, {}});
}

std::uint64_t Inputs::Entry::answer_bytes() const {
  auto sum = [](const auto& pairs) {
    std::uint64_t bytes = 0;
    for (const auto& [key, value] : pairs) bytes += key.size() + value.size();
    return bytes;
  };
  return std::visit(
      [&]<class T>(const T& each) -> std::uint64_t {
        if constexpr (std::is_same_v<T, std::monostate>) {
          return 0;
        } else {
          if (!each) return 0;
          if constexpr (std::is_same_v<T, Result<BufferList>> || std::is_same_v<T, Result<Buffer>>)
            return each->size();
          else if constexpr (std::is_same_v<T, Result<Attributes>>)  // also values of omap keys
            return sum(*each);
          else if constexpr (std::is_same_v<T, Result<OmapPage>>)
            return sum(each->entries);
          else if constexpr (std::is_same_v<T, Result<std::vector<Extent>>>)
            return each->size() * sizeof(Extent);
          else
            return each->objects.size() * sizeof(ObjectId);
        }
      },
      answer);
}

Task<> Inputs::fetch_one(ObjectStore& store, CollectionId collection, Entry& entry) {
  const Question& q = entry.question;
  switch (q.kind) {
    case Kind::data: {
      Result<BufferList> data = co_await store.read(q.object, q.offset, q.length);
      entry.answer = std::move(data);
      break;
    }
    case Kind::extents: {
      Result<std::vector<Extent>> extents = co_await store.extents(q.object, q.offset, q.length);
      entry.answer = std::move(extents);
      break;
    }
    case Kind::attributes: {
      Result<Attributes> attributes = co_await store.get_attributes(q.object);
      entry.answer = std::move(attributes);
      break;
    }
    case Kind::omap_header: {
      Result<Buffer> header = co_await store.omap_header(q.object);
      entry.answer = std::move(header);
      break;
    }
    case Kind::omap_values: {
      Result<OmapValues> values = co_await store.omap_get(q.object, q.keys);
      entry.answer = std::move(values);
      break;
    }
    case Kind::omap_page: {
      Result<OmapPage> page = co_await store.omap_list(q.object, q.after, q.from, q.offset, q.length);
      entry.answer = std::move(page);
      break;
    }
    case Kind::objects: {
      Result<ObjectPage> page = co_await store.list(collection, q.object, q.offset);
      entry.answer = std::move(page);
      break;
    }
  }
}

bool Inputs::fetch_now(ObjectStore& store) {
  for (Entry& entry : entries_) {
    if (!std::holds_alternative<std::monostate>(entry.answer)) continue;
    const Question& q = entry.question;
    if (q.kind == Kind::data) {
      if (auto data = store.read_now(q.object, q.offset, q.length)) entry.answer = std::move(*data);
    } else if (q.kind == Kind::attributes) {
      if (auto attributes = store.get_attributes_now(q.object)) entry.answer = std::move(*attributes);
    }
    if (std::holds_alternative<std::monostate>(entry.answer)) return false;
    held_bytes_ += entry.answer_bytes();
  }
  return !too_large();
}

Task<> Inputs::fetch(ObjectStore& store, CollectionId collection) {
  // Grows only in ask(): stable while we wait.
  for (Entry& entry : entries_) {
    if (!std::holds_alternative<std::monostate>(entry.answer)) continue;
    co_await fetch_one(store, collection, entry);
    held_bytes_ += entry.answer_bytes();
    if (too_large()) co_return;
  }
}

}  // namespace spirula::osd
