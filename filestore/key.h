#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "filestore/object_id.h"

/// The keys of the index. Each kind of row has a letter of its own in front:
///
///   C pool seed            a collection: its bits
///   P pool seed name       metadata of a collection
///   O pool hash names snap an object: its Onode, under its full name
///   I id                   data of a small object
///   K id chunk             checksums of a data file, limits::blocks_per_chunk blocks a row
///   S id                   the number of objects that share the checksums under that id
///   F id                   a slot of a slab that is to be freed
///   M id name              an omap entry
///   H id                   the omap header
///
/// `id` is the number an object gets when it is made and keeps when it is renamed; it names its data file too.
/// Numbers are big-endian, so that rows sort by them; a pool's sign bit is flipped, so that negative pools come first.
namespace spirula::filestore {

std::uint32_t reverse_bits(std::uint32_t value);
/// True if an object of this pool and hash lies in the collection of `bits` bits.
bool collection_holds(const CollectionId& collection, unsigned bits, const ObjectId& object);

namespace key {

/// A half-open range of keys.
struct Range {
  std::string first, last;
};

std::string collection(const CollectionId& collection);
Result<CollectionId> parse_collection(std::string_view key);
Range collections();
std::string collection_entry(const CollectionId& collection, std::string_view name);
Range collection_entries(const CollectionId& collection);

/// Sorts like ObjectId: each name ends in 00 01 and a zero byte within it is 00 ff.
std::string object(const ObjectId& object);
/// Errc::malformed.
Result<ObjectId> parse_object(std::string_view key);
Range objects(const CollectionId& collection, unsigned bits);
Range all_objects();

std::string inline_data(std::uint64_t id);
std::string checksums(std::uint64_t id, std::uint32_t chunk);
Range checksums(std::uint64_t id);
/// Of the rows that hold blocks [first, end).
Range checksums(std::uint64_t id, std::uint64_t first_block, std::uint64_t end_block);
std::string checksum_shares(std::uint64_t id);
/// The chunk's number, of a key of checksums().
std::uint64_t parse_chunk(std::string_view key);
std::string retired_slot(std::uint64_t id);
Range retired_slots();
/// Of a key that begins with a letter and an id.
std::uint64_t parse_id(std::string_view key);
std::string omap_entry(std::uint64_t id, std::string_view name);
Range omap_entries(std::uint64_t id);
std::string omap_header(std::uint64_t id);
/// What stands after the prefix of an omap entry or a collection entry.
inline constexpr std::size_t omap_prefix_bytes = 9;
inline constexpr std::size_t collection_prefix_bytes = 13;

/// The first key after every key that begins with `prefix`; empty if there is none.
std::string after_prefix(std::string prefix);

}  // namespace key
}  // namespace spirula::filestore
