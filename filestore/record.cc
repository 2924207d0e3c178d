#include "filestore/record.h"

#include <type_traits>

#include "base/codec.h"
#include "filestore/limits.h"

namespace spirula::filestore {
namespace {

using T = Transaction;

/// Shared by both directions; Write is apart because its bytes travel in the payload.
void fields(T::Touch&, auto&) {}
void fields(T::Zero& o, auto& w) {
  w(o.offset);
  w(o.length);
}
void fields(T::Truncate& o, auto& w) {
  w(o.size);
}
void fields(T::Remove&, auto&) {}
void fields(T::SetAttributes& o, auto& w) {
  w(o.values);
}
void fields(T::RemoveAttribute& o, auto& w) {
  w(o.name);
}
void fields(T::RemoveAllAttributes&, auto&) {}
void fields(T::Clone& o, auto& w) {
  w(o.source);
}
void fields(T::CloneRange& o, auto& w) {
  w(o.source);
  w(o.source_offset);
  w(o.length);
  w(o.offset);
}
void fields(T::OmapSet& o, auto& w) {
  w(o.values);
}
void fields(T::OmapRemove& o, auto& w) {
  w(o.keys);
}
void fields(T::OmapRemoveRange& o, auto& w) {
  w(o.first);
  w(o.last);
}
void fields(T::OmapClear&, auto&) {}
void fields(T::OmapSetHeader& o, auto& w) {
  w(o.value);
}
void fields(T::Rename& o, auto& w) {
  w(o.source);
}
void fields(T::CreateCollection& o, auto& w) {
  w(o.bits);
}
void fields(T::RemoveCollection&, auto&) {}
void fields(T::SplitCollection& o, auto& w) {
  w(o.bits);
  w(o.child);
}
void fields(T::MergeCollection& o, auto& w) {
  w(o.bits);
  w(o.from);
}
void fields(T::CollectionSet& o, auto& w) {
  w(o.values);
}
void fields(T::CollectionRemove& o, auto& w) {
  w(o.keys);
}
void fields(T::CollectionRemoveRange& o, auto& w) {
  w(o.first);
  w(o.last);
}

constexpr std::uint8_t record_version = 1;
constexpr std::uint8_t collection_operation = 0x80;  ///< set in the code of operations on the collection

/// Decodes alternative `index` of the variant.
template <class Variant, std::size_t I = 0>
bool decode_alternative(std::size_t index, Decoder& wire, BufferList& payload, std::size_t& payload_at, Variant& into) {
  if constexpr (I == std::variant_size_v<Variant>) {
    return false;
  } else {
    if (index != I) return decode_alternative<Variant, I + 1>(index, wire, payload, payload_at, into);
    using Operation = std::variant_alternative_t<I, Variant>;
    Operation operation{};
    if constexpr (std::is_same_v<Operation, T::Write>) {
      wire(operation.offset);
      if (wire.read<bool>()) {
        auto extent = std::make_shared<StagedExtent>();
        wire(*extent);
        std::size_t sums = extent->checksums.size();  // none where btrfs keeps them
        if (extent->length % limits::block_bytes || (sums && sums != extent->length / limits::block_bytes))
          return false;
        operation.staged = std::move(extent);
        into = std::move(operation);
        return true;
      }
      auto length = wire.read<std::uint64_t>();
      if (length > payload.size() - payload_at) return false;
      operation.data = payload.slice(payload_at, length);
      payload_at += length;
    } else {
      fields(operation, wire);
    }
    into = std::move(operation);
    return true;
  }
}

}  // namespace

Record encode_record(const CollectionId& collection, const Transaction& transaction) {
  Record record;
  Encoder wire;
  wire(record_version);
  wire(collection);
  wire(static_cast<std::uint8_t>(transaction.space));
  wire(static_cast<std::uint32_t>(transaction.operations().size()));
  const ObjectId* previous = nullptr;
  auto put = [&](const auto& operation) {
    using Operation = std::remove_cvref_t<decltype(operation)>;
    if constexpr (std::is_same_v<Operation, T::Write>) {
      wire(operation.offset);
      wire(operation.staged != nullptr);
      if (operation.staged) {
        wire(*operation.staged);
      } else {
        wire(std::uint64_t{operation.data.size()});
        record.payload.append(operation.data);
      }
    } else {
      fields(const_cast<Operation&>(operation), wire);
    }
  };
  for (const T::Operation& each : transaction.operations()) {
    if (const auto* on = std::get_if<T::OnObject>(&each)) {
      wire(static_cast<std::uint8_t>(on->operation.index()));
      bool same = previous && *previous == on->object;  // most transactions say several things of one object
      wire(same);
      if (!same) wire(on->object);
      previous = &on->object;
      std::visit(put, on->operation);
    } else {
      const auto& operation = std::get<T::CollectionOperation>(each);
      wire(static_cast<std::uint8_t>(operation.index() | collection_operation));
      std::visit(put, operation);
    }
  }
  record.description = wire.take();
  return record;
}

Result<RecordedTransaction> decode_record(const Buffer& bytes) {
  if (bytes.size() < 4) return Errc::malformed;
  auto description_size = Decoder(bytes).read<std::uint32_t>();
  if (description_size > bytes.size() - 4) return Errc::malformed;
  return decode_record(bytes.slice(4, description_size), BufferList(bytes.slice(4 + description_size)));
}

Result<RecordedTransaction> decode_record(const Buffer& description, const BufferList& payload_to_share) {
  Decoder wire(description);
  BufferList payload = payload_to_share;
  std::size_t payload_at = 0;
  if (wire.read<std::uint8_t>() != record_version) return Errc::malformed;
  RecordedTransaction recorded;
  wire(recorded.collection);
  auto space = wire.read<std::uint8_t>();
  if (space > static_cast<std::uint8_t>(Space::reserve)) return Errc::malformed;
  recorded.transaction.space = static_cast<Space>(space);
  auto count = wire.read<std::uint32_t>();
  ObjectId object;
  for (std::uint32_t i = 0; i < count && !wire.failed(); ++i) {
    auto code = wire.read<std::uint8_t>();
    if (code & collection_operation) {
      T::CollectionOperation operation;
      if (!decode_alternative(code & ~collection_operation, wire, payload, payload_at, operation))
        return Errc::malformed;
      recorded.transaction.add(std::move(operation));
    } else {
      if (!wire.read<bool>()) wire(object);
      T::ObjectOperation operation;
      if (!decode_alternative(code, wire, payload, payload_at, operation)) return Errc::malformed;
      recorded.transaction.add(object, std::move(operation));
    }
  }
  TRY(wire.finish());
  if (wire.remaining() != 0 || payload_at != payload.size()) return Errc::malformed;
  return recorded;
}

}  // namespace spirula::filestore
