#include "msg/frame.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/crc32c.h"
#include "base/random.h"
#include "msg/limits.h"

namespace spirula::msg {
namespace {

std::vector<std::byte> bytes_of(const WriteBatch& batch) {
  std::vector<std::byte> bytes;
  for (ByteView piece : batch.pieces()) bytes.insert(bytes.end(), piece.begin(), piece.end());
  return bytes;
}

Buffer random_bytes(Random& random, std::size_t size) {
  Buffer buffer = Buffer::allocate(size);
  if (size) random.fill({buffer.mutable_data(), size});
  return buffer;
}

FrameSecrets secrets(bool accepting) {
  std::byte secret[64];
  for (int i = 0; i < 64; ++i) secret[i] = static_cast<std::byte>(i * 7);
  return *FrameSecrets::split(secret, accepting);
}

struct Pair {
  FrameWriter writer;
  FrameReader reader;
  explicit Pair(bool secure) {
    reader.allow_messages(64 << 20);
    if (!secure) return;
    writer.encrypt_with(secrets(false).transmit);
    reader.decrypt_with(secrets(true).receive);
  }
};

/// Feeds `bytes` in pieces of at most `step` and hands every frame on.
template <class F>
Result<> feed(FrameReader& reader, ByteView bytes, std::size_t step, F&& on_frame) {
  while (true) {
    auto what = reader.next();
    if (!what) return what.error();
    if (*what == FrameReader::Step::permit) {
      reader.permit();
    } else if (*what == FrameReader::Step::frame) {
      on_frame(reader.frame());
    } else {
      if (bytes.empty()) return {};
      auto space = reader.space();
      std::size_t count = std::min({step, bytes.size(), space.size()});
      std::memcpy(space.data(), bytes.data(), count);
      reader.filled(count);
      bytes = bytes.subspan(count);
    }
  }
}

class Frames : public testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Modes, Frames, testing::Bool(),
                         [](const auto& info) { return info.param ? "secure" : "crc"; });

TEST_P(Frames, messages_of_every_shape_come_back) {
  SeededRandom random(7);
  for (std::size_t step : {std::size_t{1}, std::size_t{61}, std::size_t{4096}, std::size_t{1} << 30}) {
    Pair pair(GetParam());
    std::vector<Message> sent;
    std::vector<std::byte> bytes;
    WriteBatch batch;
    auto drain = [&] {
      auto more = bytes_of(batch);
      bytes.insert(bytes.end(), more.begin(), more.end());
      batch.clear();
    };
    std::size_t sizes[] = {0, 1, 15, 16, 17, 1000, 5000, 70'000, 300'000};
    for (int i = 0; i < (step < 100 ? 12 : 200); ++i) {
      auto size = [&] { return sizes[random.below(step < 100 ? 7 : std::size(sizes))]; };
      Message message;
      message.type = static_cast<std::uint16_t>(i);
      message.front = random_bytes(random, size());
      message.middle = random_bytes(random, size());
      message.data.append(random_bytes(random, size()));
      message.data.append(random_bytes(random, size()));
      MessageHeader header;
      header.type = message.type;
      header.sequence = static_cast<std::uint64_t>(i) + 1;
      pair.writer.message(header, message, batch);
      drain();
      while (pair.writer.is_busy()) {
        pair.writer.resume(batch);
        drain();
      }
      sent.push_back(message);
      if (i % 3 == 0) {
        pair.writer.control(Tag::ack, random_bytes(random, 1 + random.below(200)), batch);
        drain();
      }
    }
    std::size_t at = 0;
    auto result = feed(pair.reader, bytes, step, [&](Frame& frame) {
      if (frame.tag == Tag::ack) return;
      ASSERT_LT(at, sent.size());
      const Message& expected = sent[at++];
      ASSERT_EQ(frame.control.size(), MessageHeader::wire_size);
      EXPECT_EQ(MessageHeader::get(frame.control.data()).type, expected.type);
      EXPECT_EQ(frame.segments[0], expected.front);
      EXPECT_EQ(frame.segments[1], expected.middle);
      EXPECT_EQ(frame.segments[2], expected.data.flatten());
      if (frame.segments[2].size() >= 4096)
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(frame.segments[2].data()) % 4096, 0u);
    });
    ASSERT_TRUE(result) << result.error().message();
    EXPECT_EQ(at, sent.size());
  }
}

TEST_P(Frames, damage_anywhere_is_noticed) {
  SeededRandom random(3);
  Message message;
  message.front = random_bytes(random, 100);
  message.data.append(random_bytes(random, 300));
  MessageHeader header;
  std::vector<std::byte> good;
  {
    Pair pair(GetParam());
    WriteBatch batch;
    pair.writer.message(header, message, batch);
    good = bytes_of(batch);
  }
  for (std::size_t at = 0; at < good.size(); ++at) {
    auto bad = good;
    bad[at] ^= std::byte{0x10};
    Pair pair(GetParam());
    int frames = 0;
    (void)feed(pair.reader, bad, 1 << 20, [&](Frame&) { ++frames; });
    // The upper half of the status byte has no meaning, and nothing checks it in CRC mode.
    bool status = !GetParam() && at == good.size() - 13;
    if (!status) EXPECT_EQ(frames, 0) << at;
  }
}

TEST(Frame, large_data_keep_the_checksums_of_their_blocks) {
  SeededRandom random(3);
  Message sent;
  sent.type = 7;
  sent.data = BufferList(random_bytes(random, 300'001));
  for (std::size_t step : {std::size_t{5000}, std::size_t{1} << 30}) {
    Pair pair(false);
    WriteBatch batch;
    pair.writer.message(MessageHeader{}, sent, batch);
    int frames = 0;
    ASSERT_TRUE(feed(pair.reader, bytes_of(batch), step, [&](Frame& frame) {
      ++frames;
      const Buffer& data = frame.segments[2];
      ASSERT_EQ(data, sent.data.buffers()[0]);
      ASSERT_EQ(data.checksums().size(), 300'001u / Buffer::block_bytes);
      for (std::size_t i = 0; i < data.checksums().size(); ++i)
        EXPECT_EQ(data.checksums()[i], crc32c(~0u, data.view().subspan(i * Buffer::block_bytes, Buffer::block_bytes)));
    }));
    EXPECT_EQ(frames, 1);
  }
}

TEST(Frame, aborted_message_vanishes) {
  Message message;
  message.front = Buffer::copy_of("front");
  WriteBatch batch;
  Pair pair(false);
  pair.writer.message({}, message, batch);
  auto bytes = bytes_of(batch);
  bytes[bytes.size() - 13] = std::byte{1};
  bytes[bytes.size() - 12] = std::byte{0};  // who gives a message up does not bother with its crc
  batch.clear();
  pair.writer.control(Tag::ack, as_bytes("12345678"), batch);
  auto more = bytes_of(batch);
  bytes.insert(bytes.end(), more.begin(), more.end());
  std::vector<Tag> tags;
  ASSERT_TRUE(feed(pair.reader, bytes, 1 << 20, [&](Frame& frame) { tags.push_back(frame.tag); }));
  EXPECT_EQ(tags, std::vector<Tag>{Tag::ack});
}

TEST(Frame, before_the_session_only_short_frames) {
  WriteBatch batch;
  FrameWriter writer;
  Message message;
  message.front = Buffer::copy_of("x");
  writer.message({}, message, batch);
  FrameReader reader;
  auto result = feed(reader, bytes_of(batch), 1 << 20, [](Frame&) { FAIL(); });
  EXPECT_EQ(result.error(), make_error_code(Errc::too_large));
}

TEST(Frame, empty_control) {
  WriteBatch batch;
  Pair pair(false);
  pair.writer.control(Tag::wait, {}, batch);
  pair.writer.control(Tag::ack, as_bytes("12345678"), batch);
  int frames = 0;
  ASSERT_TRUE(feed(pair.reader, bytes_of(batch), 1 << 20, [&](Frame&) { ++frames; }));
  EXPECT_EQ(frames, 2);
}

}  // namespace
}  // namespace spirula::msg
