#pragma once
#include <memory>
#include <string>

#include "base/net.h"
#include "base/shard.h"
#include "base/task.h"
#include "msg/frame.h"

namespace spirula::msg {

/// One stream and the frames on it, from the banner on. Lives on the shard of its stream; one reader and one writer at
/// a time. Shared between them: whoever finds it broken calls close(), and both end.
class Transport {
 public:
  Transport(Shard& shard, std::unique_ptr<Stream> stream)
      : shard_(&shard), stream_(std::move(stream)), last_read_(shard.clock().now()) {}

  Shard& shard() const { return *shard_; }
  Endpoint remote() const { return stream_->remote(); }
  FrameReader& reader() { return reader_; }
  FrameWriter& writer() { return writer_; }
  /// Frames put here go out with the next flush().
  WriteBatch& batch() { return batch_; }

  /// Exactly `count` bytes, before any frame.
  Task<Result<Buffer>> read_raw(std::size_t count);
  /// The next frame, left in reader().frame(). Step::permit is handed to the caller, who permits and reads again.
  Task<Result<FrameReader::Step>> read();
  /// Some more bytes for the reader.
  Task<Result<>> read_more();
  /// The next frame of a handshake. Errc::malformed if it is a message.
  Task<Result<>> read_control();
  Task<Result<>> flush();
  /// As flush(), without waiting; false if some of the batch is left.
  Result<bool> try_flush();

  template <class T>
  void put(const T& frame) {
    Buffer payload = encode(frame);
    writer_.control(T::tag, payload, batch_);
  }
  /// The frame just read as a T. Errc::malformed also if it is another.
  template <class T>
  Result<T> take() {
    if (reader_.frame().tag != T::tag) return Errc::malformed;
    return decode<T>(Buffer::copy_of(reader_.frame().control));
  }

  /// Frames go out and come in SECURE from here on.
  void secure(const FrameSecrets& secrets) {
    reader_.decrypt_with(secrets.receive);
    writer_.encrypt_with(secrets.transmit);
  }
  bool is_secure() const { return reader_.is_secure(); }

  /// Keeps what goes out until stop_transcript(), for the handshake's signature. What comes in the reader keeps.
  void start_transcript();
  void stop_transcript();
  ByteView sent_transcript() const { return as_bytes(sent_transcript_); }

  /// Notes what is wrong with this peer, for the one line that is logged of a handshake that fails.
  void blame(std::string why) { blame_ = std::move(why); }
  const std::string& blame() const { return blame_; }

  void close();
  bool closed() const { return closed_; }
  /// Moves to another shard; nobody may be reading or writing.
  void move_to(Shard& shard);
  MonotonicTime last_read() const { return last_read_; }

 private:
  Shard* shard_;
  std::unique_ptr<Stream> stream_;
  FrameReader reader_;
  FrameWriter writer_;
  WriteBatch batch_;
  bool recording_ = false, closed_ = false;
  std::string sent_transcript_, blame_;
  MonotonicTime last_read_;
};

}  // namespace spirula::msg
