#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/crc32c.h"
#include "msg/frame.h"
#include "msg/frame_layout.h"
#include "msg/limits.h"

namespace spirula::msg {
using namespace frame_layout;

namespace {

template <class T>
void put(std::byte*& at, T value) {
  std::memcpy(at, &value, sizeof value);
  at += sizeof value;
}
template <class T>
void get(const std::byte*& at, T& value) {
  std::memcpy(&value, at, sizeof value);
  at += sizeof value;
}

/// One walk over the fields for both directions.
void walk(auto& header, auto&& field) {
  field(header.sequence);
  field(header.tid);
  field(header.type);
  field(header.priority);
  field(header.version);
  field(header.data_pre_padding);
  field(header.data_offset);
  field(header.ack_sequence);
  field(header.flags);
  field(header.compat);
  field(header.reserved);
}

constexpr std::size_t first_chunk_bytes = 8 << 10, chunk_bytes = 64 << 10;

}  // namespace

void MessageHeader::put(std::byte* to) const {
  walk(*this, [&](auto value) { msg::put(to, value); });
}

MessageHeader MessageHeader::get(const std::byte* from) {
  MessageHeader header;
  walk(header, [&](auto& value) { msg::get(from, value); });
  return header;
}

// --- the batch

WriteBatch::WriteBatch() = default;
WriteBatch::~WriteBatch() = default;

bool WriteBatch::is_full() const {
  return size_ >= limits::write_batch_bytes || pieces_.size() - written_ >= limits::write_batch_pieces;
}

void WriteBatch::add_piece(const std::byte* at, std::size_t count) {
  if (pieces_.size() > written_ && pieces_.back().data() + pieces_.back().size() == at)
    pieces_.back() = ByteView(pieces_.back().data(), pieces_.back().size() + count);
  else
    pieces_.emplace_back(at, count);
  size_ += count;
}

std::byte* WriteBatch::append_space(std::size_t count) {
  while (chunk_ < chunks_.size() && chunks_[chunk_].size - chunks_[chunk_].used < count) ++chunk_;
  if (chunk_ == chunks_.size()) {
    std::size_t size = std::max(count, chunks_.empty() ? first_chunk_bytes : chunk_bytes);
    Chunk chunk{Buffer::allocate(size), nullptr, 0, size};
    chunk.memory = chunk.buffer.mutable_data();
    chunks_.push_back(std::move(chunk));
  }
  Chunk& chunk = chunks_[chunk_];
  std::byte* at = chunk.memory + chunk.used;
  chunk.used += count;
  if (count) add_piece(at, count);
  return at;
}

void WriteBatch::append_copy(ByteView bytes) {
  if (bytes.empty()) return;
  std::memcpy(append_space(bytes.size()), bytes.data(), bytes.size());
}

void WriteBatch::append(const Buffer& buffer) {
  if (buffer.size() <= limits::gather_copy_bytes_max) return append_copy(buffer);
  keep_.push_back(buffer);
  add_piece(buffer.data(), buffer.size());
}

void WriteBatch::consume(std::size_t count) {
  CHECK(count <= size_);
  size_ -= count;
  while (count > 0) {
    ByteView& first = pieces_[written_];
    if (count < first.size()) {
      first = first.subspan(count);
      return;
    }
    count -= first.size();
    ++written_;
  }
}

void WriteBatch::clear(bool trim) {
  pieces_.clear();
  written_ = 0;
  keep_.clear();
  size_ = 0;
  chunk_ = 0;
  if (trim && chunks_.size() > 1) chunks_.resize(1);
  for (Chunk& chunk : chunks_) chunk.used = 0;
}

// --- the writer

void FrameWriter::encrypt(ByteView bytes, WriteBatch& into) {
  if (bytes.empty()) return;
  cipher_->update(bytes.data(), into.append_space(bytes.size()), bytes.size());
}

void FrameWriter::encrypt_padding(std::size_t size, WriteBatch& into) {
  static constexpr std::byte zeros[block_size]{};
  encrypt(ByteView(zeros, padded(size) - size), into);
}

void FrameWriter::finish_secure(WriteBatch& into) {
  std::byte epilogue[secure_epilogue_size]{status_complete};
  encrypt(epilogue, into);
  cipher_->finish_encrypting(into.append_space(tag_size));
}

/// Preamble and control. `lengths` has the control's length first and no trailing zero beyond it.
void FrameWriter::head(Tag tag, ByteView control, std::span<const std::uint32_t> lengths, WriteBatch& into) {
  std::byte plain[secure_head_size]{};
  plain[0] = static_cast<std::byte>(tag);
  plain[1] = static_cast<std::byte>(lengths.size());
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    std::uint16_t alignment = i == 3 ? page_size : 8;
    store_u32(plain + 2 + 6 * i, lengths[i]);
    std::memcpy(plain + 2 + 6 * i + 4, &alignment, sizeof alignment);
  }
  store_u32(plain + preamble_size - crc_size, crc32c(0, ByteView(plain, preamble_size - crc_size)));
  if (!cipher_) {
    into.append_copy(ByteView(plain, preamble_size));
    if (control.empty()) return;
    into.append_copy(control);
    store_u32(into.append_space(crc_size), crc32c(~0u, control));
    return;
  }
  ByteView first = control.first(std::min(control.size(), inline_size));
  if (!first.empty()) std::memcpy(plain + preamble_size, first.data(), first.size());
  cipher_->start();
  encrypt(plain, into);
  cipher_->finish_encrypting(into.append_space(tag_size));
  if (control.size() <= inline_size) return;
  ByteView rest = control.subspan(inline_size);
  cipher_->start();
  encrypt(rest, into);
  encrypt_padding(rest.size(), into);
  cipher_->finish_encrypting(into.append_space(tag_size));
}

void FrameWriter::control(Tag tag, ByteView payload, WriteBatch& into) {
  CHECK(!is_busy());
  std::uint32_t length[] = {static_cast<std::uint32_t>(payload.size())};
  head(tag, payload, length, into);
}

void FrameWriter::message(const MessageHeader& header, const Message& message, WriteBatch& into) {
  CHECK(!is_busy());
  std::byte control[MessageHeader::wire_size];
  header.put(control);
  std::uint32_t lengths[] = {MessageHeader::wire_size, static_cast<std::uint32_t>(message.front.size()),
                             static_cast<std::uint32_t>(message.middle.size()),
                             static_cast<std::uint32_t>(message.data.size())};
  std::size_t count = 4;
  while (count > 1 && lengths[count - 1] == 0) --count;
  head(Tag::message, control, std::span(lengths, count), into);
  if (count == 1) return;
  if (cipher_) {
    cipher_->start();
    for (const Buffer* part : {&message.front, &message.middle}) {
      encrypt(*part, into);
      encrypt_padding(part->size(), into);
    }
    data_ = message.data;
    piece_ = piece_offset_ = 0;
    return resume(into);
  }
  into.append(message.front);
  into.append(message.middle);
  for (const Buffer& part : message.data.buffers()) into.append(part);
  std::byte epilogue[crc_epilogue_size]{status_complete};
  if (count > 1) store_u32(epilogue + 1, crc32c(~0u, message.front.view()));
  if (count > 2) store_u32(epilogue + 5, crc32c(~0u, message.middle.view()));
  if (count > 3) store_u32(epilogue + 9, crc32c(~0u, message.data));
  into.append_copy(epilogue);
}

void FrameWriter::resume(WriteBatch& into) {
  const std::vector<Buffer>& pieces = data_->buffers();
  std::size_t room = limits::write_batch_bytes > into.size() ? limits::write_batch_bytes - into.size() : 0;
  room = std::max(padded(room), block_size);
  while (piece_ < pieces.size() && room > 0) {
    ByteView rest = pieces[piece_].view().subspan(piece_offset_);
    // In runs of one chunk, so that the batch's memory is used again and again.
    std::size_t count = std::min({rest.size(), room, chunk_bytes});
    encrypt(rest.first(count), into);
    room -= count;
    piece_offset_ += count;
    if (piece_offset_ == pieces[piece_].size()) {
      ++piece_;
      piece_offset_ = 0;
    }
  }
  if (piece_ < pieces.size()) return;
  encrypt_padding(data_->size(), into);
  finish_secure(into);
  data_.reset();
}

}  // namespace spirula::msg
