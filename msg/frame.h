#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "msg/message.h"

/// Frames of msgr2.1 as bytes; no I/O here. Sources: Ceph doc/dev/msgr2.rst, src/msg/async/frames_v2.h,
/// crypto_onwire.cc; Linux net/ceph/messenger_v2.c.
///
/// CRC mode:     preamble 32 | control, crc 4 | front, middle, data | epilogue 13 (status, three crcs)
/// SECURE mode:  [preamble 32, control 48] tag | [rest of control, padded] tag | [segments, each padded, status 16] tag
/// The parts after the control are missing when the frame has one segment, the second when the control fits.
namespace spirula::msg {

/// Ceph: ceph::msgr::v2::Tag.
enum class Tag : std::uint8_t {
  hello = 1,
  auth_request,
  auth_bad_method,
  auth_reply_more,
  auth_request_more,
  auth_done,
  auth_signature,
  client_ident,
  server_ident,
  ident_missing_features,
  session_reconnect,
  session_reset,
  session_retry,
  session_retry_global,
  session_reconnect_ok,
  wait,
  message,
  keepalive2,
  keepalive2_ack,
  ack,
};

/// Ceph: ceph_msg_header2.
struct MessageHeader {
  static constexpr std::size_t wire_size = 41;
  std::uint64_t sequence = 0, tid = 0;
  std::uint16_t type = 0, priority = 0, version = 0;
  std::uint32_t data_pre_padding = 0;
  std::uint16_t data_offset = 0;
  std::uint64_t ack_sequence = 0;
  std::uint8_t flags = 0;
  std::uint16_t compat = 0, reserved = 0;
  void put(std::byte* to) const;  ///< wire_size bytes
  static MessageHeader get(const std::byte* from);
};

/// The secrets of one direction of a SECURE session: a key and the nonce of its first block.
struct FrameSecret {
  std::array<std::byte, 16> key{};
  std::array<std::byte, 12> nonce{};
};
/// Both directions out of the connection secret. Errc::malformed if it is too short.
struct FrameSecrets {
  FrameSecret receive, transmit;
  static Result<FrameSecrets> split(ByteView connection_secret, bool accepting);
};

/// AES-128-GCM over a sequence of runs, each with a nonce one above the one before and a tag of 16 bytes.
class FrameCipher {
 public:
  FrameCipher(const FrameSecret& secret, bool encrypting);
  ~FrameCipher();
  FrameCipher(FrameCipher&&) noexcept;
  void start();
  /// `to` may be `from` itself.
  void update(const std::byte* from, std::byte* to, std::size_t size);
  void finish_encrypting(std::byte* tag);
  bool finish_decrypting(const std::byte* tag);  ///< false: the bytes are not authentic

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// One received frame. `control` is readable until the reader is touched again.
struct Frame {
  Tag tag{};
  ByteView control;
  std::array<Buffer, 3> segments;  ///< front, middle, data; data of a page and more is aligned for O_DIRECT
};

/// Takes the bytes of one direction apart. Bytes go in where space() says; frames come out of next().
class FrameReader {
 public:
  FrameReader();
  ~FrameReader();

  /// Where the next bytes belong: at least one, often many more than the next frame needs.
  std::span<std::byte> space();
  /// How many bytes of what space() gave out are certain to come.
  std::size_t expected() const;
  void filled(std::size_t count);

  /// `count` bytes as they are (the banner), or nothing until so many have come.
  std::optional<Buffer> raw(std::size_t count);
  enum class Step {
    bytes,   ///< more bytes are needed
    permit,  ///< a message of announced() bytes follows: permit() when there is room for it
    frame,   ///< frame() is complete
  };
  /// Errc::malformed: the peer does not speak the protocol, or bytes were damaged. Errc::too_large.
  Result<Step> next();
  Frame& frame() { return frame_; }
  std::size_t announced() const { return announced_; }
  void permit() { permitted_ = true; }

  /// Messages up to so many bytes are taken from now on; before, a frame may have one segment only.
  void allow_messages(std::size_t bytes_max) { message_bytes_max_ = bytes_max; }
  /// Frames from here on are SECURE.
  void decrypt_with(const FrameSecret& secret);
  bool is_secure() const { return cipher_.has_value(); }

  /// Keeps every byte that next() and raw() have taken until stop_transcript().
  void start_transcript() { recording_ = true; }
  void stop_transcript();
  ByteView transcript() const { return as_bytes(transcript_); }

 private:
  struct Segment {
    Buffer buffer;
    std::size_t size = 0, wire_size = 0, done = 0;
    std::uint32_t crc = 0;
  };
  Result<bool> read_head();
  Result<> parse_preamble(const std::byte* at);
  Result<bool> read_tail();
  Result<bool> read_epilogue();
  void begin_tail();
  void absorb(Segment& segment, const std::byte* from, std::size_t count);
  std::size_t available() const { return end_ - begin_; }
  const std::byte* at() const { return memory_ + begin_; }
  void record(std::size_t count);

  enum class State { head, permit, tail, epilogue } state_ = State::head;
  Buffer memory_buffer_;
  std::byte* memory_;  ///< the read-ahead: bytes [begin_, end_) are waiting
  std::size_t begin_ = 0, end_ = 0;
  std::size_t consumed_later_ = 0;  ///< the control of the last frame, still readable
  bool direct_ = false;             ///< space() gave out a segment's own memory

  bool preamble_known_ = false;
  unsigned segment_count_ = 0;
  std::array<std::uint32_t, 4> lengths_{};
  std::array<Segment, 3> segments_;
  unsigned current_ = 0;
  std::size_t announced_ = 0;
  bool permitted_ = false;
  Frame frame_;
  std::vector<std::byte> header_;  ///< the control of a frame whose tail is still coming

  std::size_t message_bytes_max_ = 0;
  std::optional<FrameCipher> cipher_;
  bool recording_ = false;
  std::string transcript_;
};

/// Bytes on their way to the stream: copies of what is short, references to what is long.
class WriteBatch {
 public:
  WriteBatch();
  ~WriteBatch();
  std::span<const ByteView> pieces() const { return std::span(pieces_).subspan(written_); }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool is_full() const;
  /// Room for `count` contiguous bytes, to be filled before the next call.
  std::byte* append_space(std::size_t count);
  void append_copy(ByteView bytes);
  void append(const Buffer& buffer);
  /// The first `count` bytes are written.
  void consume(std::size_t count);
  /// Forgets everything; keeps memory for the next batch unless `trim`.
  void clear(bool trim = false);

 private:
  void add_piece(const std::byte* at, std::size_t count);
  struct Chunk {
    Buffer buffer;
    std::byte* memory;
    std::size_t used = 0, size = 0;
  };
  std::vector<Chunk> chunks_;
  std::size_t chunk_ = 0;  ///< the one being filled
  std::vector<ByteView> pieces_;
  std::size_t written_ = 0;  ///< pieces that are out
  std::vector<Buffer> keep_;
  std::size_t size_ = 0;
};

/// Puts frames together for one direction.
class FrameWriter {
 public:
  void encrypt_with(const FrameSecret& secret) { cipher_.emplace(secret, true); }
  /// A frame of one segment.
  void control(Tag tag, ByteView payload, WriteBatch& into);
  /// A MESSAGE frame. In SECURE mode long data may be left over: while is_busy(), write the batch out and resume().
  void message(const MessageHeader& header, const Message& message, WriteBatch& into);
  bool is_busy() const { return data_.has_value(); }
  void resume(WriteBatch& into);

 private:
  void head(Tag tag, ByteView control, std::span<const std::uint32_t> lengths, WriteBatch& into);
  void encrypt(ByteView bytes, WriteBatch& into);
  void encrypt_padding(std::size_t size, WriteBatch& into);
  void finish_secure(WriteBatch& into);

  std::optional<FrameCipher> cipher_;
  std::optional<BufferList> data_;  ///< of the message being encrypted
  std::size_t piece_ = 0, piece_offset_ = 0;
};

}  // namespace spirula::msg
