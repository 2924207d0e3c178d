#include "filestore/admission.h"

#include <type_traits>

#include "filestore/key.h"
#include "filestore/limits.h"

namespace spirula::filestore {
namespace {

using T = Transaction;

Result<> check_object(const ObjectId& object) {
  if (object.name_space.size() + object.key.size() + object.name.size() > limits::object_name_bytes_max)
    return Errc::name_too_long;
  if (key::object(object).size() > limits::object_name_bytes_max) return Errc::name_too_long;
  return {};
}
Result<> check_range(std::uint64_t offset, std::uint64_t length) {
  if (offset > limits::object_size_max || length > limits::object_size_max - offset) return Errc::file_too_large;
  return {};
}

}  // namespace

Result<> check_limits(const Transaction& transaction) {
  for (const T::Operation& each : transaction.operations()) {
    const auto* on = std::get_if<T::OnObject>(&each);
    if (!on) continue;
    TRY(check_object(on->object));
    if (const ObjectId* source = source_of(on->operation)) TRY(check_object(*source));
    TRY(std::visit(
        []<class Operation>(const Operation& o) -> Result<> {
          if constexpr (std::is_same_v<Operation, T::Write>) {
            return check_range(o.offset, o.data.size());
          } else if constexpr (std::is_same_v<Operation, T::Zero>) {
            return check_range(o.offset, o.length);
          } else if constexpr (std::is_same_v<Operation, T::Truncate>) {
            return check_range(0, o.size);
          } else if constexpr (std::is_same_v<Operation, T::CloneRange>) {
            TRY(check_range(o.source_offset, o.length));
            return check_range(o.offset, o.length);
          } else if constexpr (std::is_same_v<Operation, T::SetAttributes>) {
            std::size_t bytes = 0;
            for (const auto& [name, value] : o.values) {
              if (name.size() > limits::attribute_name_bytes_max) return Errc::name_too_long;
              bytes += name.size() + value.size();
            }
            if (bytes > limits::attributes_bytes_max) return Errc::too_large;
          }
          return {};
        },
        on->operation));
  }
  return {};
}

Result<CollectionChanges> check_collections(
    const CollectionId& collection, const Transaction& transaction,
    const std::function<std::optional<unsigned>(const CollectionId&)>& bits_of) {
  CollectionChanges changes;
  auto bits_now = [&](const CollectionId& id) -> std::optional<unsigned> {
    if (auto it = changes.find(id); it != changes.end()) return it->second;
    return bits_of(id);
  };
  auto agrees = [](std::uint32_t a, std::uint32_t b, unsigned bits) {
    std::uint32_t mask = bits >= 32 ? ~0u : (1u << bits) - 1;
    return (a & mask) == (b & mask);
  };
  std::optional<unsigned> bits = bits_now(collection);
  for (const T::Operation& each : transaction.operations()) {
    if (const auto* on = std::get_if<T::OnObject>(&each)) {
      if (!bits) return Errc::not_found;
      if (!collection_holds(collection, *bits, on->object)) return Errc::invalid;
      if (const ObjectId* source = source_of(on->operation))
        if (!collection_holds(collection, *bits, *source)) return Errc::invalid;
      continue;
    }
    TRY(std::visit(
        [&]<class Operation>(const Operation& o) -> Result<> {
          if constexpr (std::is_same_v<Operation, T::CreateCollection>) {
            if (bits) return Errc::exists;
            if (o.bits > 32) return Errc::invalid;
            changes[collection] = o.bits;
          } else if (!bits) {
            return Errc::not_found;
          } else if constexpr (std::is_same_v<Operation, T::RemoveCollection>) {
            changes[collection] = std::nullopt;
          } else if constexpr (std::is_same_v<Operation, T::SplitCollection>) {
            if (bits_now(o.child)) return Errc::exists;
            if (o.bits <= *bits || o.bits > 32 || o.child.pool != collection.pool ||
                !agrees(o.child.seed, collection.seed, *bits) || agrees(o.child.seed, collection.seed, o.bits))
              return Errc::invalid;
            changes[collection] = changes[o.child] = o.bits;
          } else if constexpr (std::is_same_v<Operation, T::MergeCollection>) {
            if (!bits_now(o.from)) return Errc::not_found;
            if (o.bits >= *bits || o.from.pool != collection.pool || o.from == collection ||
                !agrees(o.from.seed, collection.seed, o.bits))
              return Errc::invalid;
            changes[collection] = o.bits;
            changes[o.from] = std::nullopt;
          }
          return {};
        },
        std::get<T::CollectionOperation>(each)));
    bits = bits_now(collection);
  }
  if (transaction.empty() && !bits) return Errc::not_found;
  return changes;
}

const ObjectId* source_of(const T::ObjectOperation& operation) {
  if (const auto* o = std::get_if<T::Clone>(&operation)) return &o->source;
  if (const auto* o = std::get_if<T::CloneRange>(&operation)) return &o->source;
  if (const auto* o = std::get_if<T::Rename>(&operation)) return &o->source;
  return nullptr;
}

bool makes_object(const T::ObjectOperation& operation) {
  return !std::holds_alternative<T::Remove>(operation) && !std::holds_alternative<T::RemoveAttribute>(operation) &&
         !std::holds_alternative<T::RemoveAllAttributes>(operation) &&
         !std::holds_alternative<T::OmapRemove>(operation) && !std::holds_alternative<T::OmapRemoveRange>(operation) &&
         !std::holds_alternative<T::OmapClear>(operation);
}

}  // namespace spirula::filestore
