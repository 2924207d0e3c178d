#pragma once
#include <cstddef>

/// The bounds of the wire that are not options.
namespace spirula::msg::limits {

/// The first segment of a frame: a message header, an ident, or an authentication payload. The longest of these, a
/// login's answer with tickets for every service, stays under 4 KiB plus the caps in the tickets.
inline constexpr std::size_t control_bytes_max = 32 << 10;
/// What is read from a stream at once; larger segments are read straight into their own memory.
inline constexpr std::size_t read_ahead_bytes = 64 << 10;
/// What remains of a segment is read straight into place from here on.
inline constexpr std::size_t direct_read_bytes_min = 8 << 10;
/// As much of it at a time, so that its crc is taken, or it is decrypted, while it is in the processor's cache.
inline constexpr std::size_t direct_read_bytes_max = 256 << 10;
/// A data segment of this size keeps the checksums of its blocks, see Buffer::checksums().
inline constexpr std::size_t checksums_kept_from = 64 << 10;
/// Pieces shorter than this are gathered by copying, longer ones by reference.
inline constexpr std::size_t gather_copy_bytes_max = 1 << 10;
/// One write to the stream gathers about this much; SECURE data is encrypted in runs of this size, to stay in cache.
inline constexpr std::size_t write_batch_bytes = 256 << 10;
/// Buffers in one gathered write (IOV_MAX is 1024; Asio takes 64 of them a call).
inline constexpr std::size_t write_batch_pieces = 64;
/// A banner's payload: two feature words, and room for what a later revision might add.
inline constexpr std::size_t banner_payload_bytes_max = 64;
/// The handshake up to AUTH_DONE, kept for its signature.
inline constexpr std::size_t transcript_bytes_max = 128 << 10;
/// Rounds of AUTH_REQUEST and AUTH_REQUEST_MORE before a peer is turned away.
inline constexpr unsigned auth_rounds_max = 8;
/// Rounds of idents, retries and resets in one handshake.
inline constexpr unsigned session_rounds_max = 8;
/// Messages queued on one connection, sent or not yet acknowledged; a peer that takes none of so many is cut off.
inline constexpr std::size_t queued_messages_max = 64 << 10;
/// Bytes queued on one lossy connection beyond which nothing more is read from it: a client that takes no answers gets
/// no further questions in.
inline constexpr std::size_t unsent_bytes_max = 16 << 20;
/// Received messages after which a lossless session sends an ACK of its own instead of waiting for a message to carry
/// it.
inline constexpr unsigned ack_messages_max = 16;

}  // namespace spirula::msg::limits
