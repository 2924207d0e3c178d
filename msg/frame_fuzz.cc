#include <cstring>

#include "base/check.h"
#include "msg/frame.h"
#include "msg/fuzz_frames.h"

/// The first byte chooses the size of the pieces the bytes arrive in and whether messages are allowed yet. A message
/// that comes out goes through the writer and must be the same bytes again, as far as the frame has one form.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spirula;
  using namespace spirula::msg;
  if (size < 1) return 0;
  std::size_t step = (data[0] & 1) ? 7 : 1 << 20;
  FrameReader reader;
  if (data[0] & 2) reader.allow_messages(1 << 20);
  if (data[0] & 4) reader.decrypt_with(FrameSecret{});
  ByteView bytes = std::as_bytes(std::span(data + 1, size - 1));
  std::vector<std::byte> frames;
  if (data[0] & 8) {
    frames = frames_from(bytes);
    bytes = frames;
  }
  while (true) {
    auto what = reader.next();
    if (!what) return 0;
    if (*what == FrameReader::Step::permit) {
      reader.permit();
    } else if (*what == FrameReader::Step::frame) {
      Frame& frame = reader.frame();
      if (frame.tag != Tag::message || frame.control.size() != MessageHeader::wire_size) continue;
      MessageHeader header = MessageHeader::get(frame.control.data());
      Message message;
      message.front = frame.segments[0];
      message.middle = frame.segments[1];
      if (!frame.segments[2].empty()) message.data.append(frame.segments[2]);
      FrameWriter writer;
      WriteBatch batch;
      writer.message(header, message, batch);
      FrameReader again;
      again.allow_messages(1 << 20);
      std::vector<std::byte> written;
      for (ByteView piece : batch.pieces()) written.insert(written.end(), piece.begin(), piece.end());
      std::size_t at = 0;
      while (true) {
        auto step_again = again.next();
        CHECK(step_again.has_value());
        if (*step_again == FrameReader::Step::frame) break;
        if (*step_again == FrameReader::Step::permit) {
          again.permit();
          continue;
        }
        auto space = again.space();
        std::size_t count = std::min(space.size(), written.size() - at);
        CHECK(count > 0);
        std::memcpy(space.data(), written.data() + at, count);
        again.filled(count);
        at += count;
      }
      CHECK(again.frame().segments[0] == message.front && again.frame().segments[1] == message.middle);
      CHECK(BufferList(again.frame().segments[2]) == message.data);
    } else {
      if (bytes.empty()) return 0;
      auto space = reader.space();
      std::size_t count = std::min({step, bytes.size(), space.size()});
      std::memcpy(space.data(), bytes.data(), count);
      reader.filled(count);
      bytes = bytes.subspan(count);
    }
  }
}
