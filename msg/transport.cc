#include "msg/transport.h"

#include "base/coroutine.h"
#include "msg/limits.h"

namespace spirula::msg {

Task<Result<Buffer>> Transport::read_raw(std::size_t count) {
  while (true) {
    if (auto bytes = reader_.raw(count)) co_return std::move(*bytes);
    if (closed_) co_return Errc::closed;
    CO_TRY(std::size_t got, co_await stream_->read_some(reader_.space()));
    reader_.filled(got);
  }
}

Task<Result<>> Transport::read_more() {
  if (closed_) co_return Errc::closed;
  std::span<std::byte> space = reader_.space();
  stream_->expect(reader_.expected());
  CO_TRY(std::size_t got, co_await stream_->read_some(space));
  if (closed_) co_return Errc::closed;
  reader_.filled(got);
  last_read_ = shard_->clock().now();
  co_return Result<>{};
}

Task<Result<FrameReader::Step>> Transport::read() {
  while (true) {
    CO_TRY(FrameReader::Step step, reader_.next());
    if (step != FrameReader::Step::bytes) co_return step;
    CO_TRY(co_await read_more());
  }
}

Task<Result<>> Transport::read_control() {
  CO_TRY(FrameReader::Step step, co_await read());
  if (step != FrameReader::Step::frame || reader_.frame().tag == Tag::message) co_return Errc::malformed;
  if (reader_.transcript().size() > limits::transcript_bytes_max) co_return Errc::too_large;
  co_return Result<>{};
}

Task<Result<>> Transport::flush() {
  if (closed_) co_return Errc::closed;
  if (batch_.empty()) co_return Result<>{};
  if (recording_)
    for (ByteView piece : batch_.pieces()) sent_transcript_.append(as_text(piece));
  Result<> written = co_await stream_->write(batch_.pieces());
  batch_.clear();
  co_return written;
}

Result<bool> Transport::try_flush() {
  if (closed_) return Errc::closed;
  while (!batch_.empty()) {
    TRY(std::size_t count, stream_->try_write(batch_.pieces()));
    if (count == 0) return false;
    batch_.consume(count);
  }
  batch_.clear();
  return true;
}

void Transport::start_transcript() {
  recording_ = true;
  reader_.start_transcript();
}

void Transport::stop_transcript() {
  recording_ = false;
  sent_transcript_.clear();
  reader_.stop_transcript();
}

void Transport::close() {
  if (closed_) return;
  closed_ = true;
  stream_->close();
}

void Transport::move_to(Shard& shard) {
  stream_ = stream_->move_to(shard);
  shard_ = &shard;
}

}  // namespace spirula::msg
