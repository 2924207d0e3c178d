#pragma once
#include "base/check.h"
#include "msg/message.h"

/// For fuzz targets: what is accepted encodes to bytes that read back the same.
namespace spirula::msg {

template <class T>
void check_value(const Buffer& bytes) {
  auto value = decode<T>(bytes);
  if (!value) return;
  Buffer once = encode(*value);
  auto again = decode<T>(once);
  CHECK(again.has_value());
  CHECK(encode(*again) == once);
}

template <Body T>
void check_body(const Message& message) {
  auto body = read_message<T>(message);
  if (!body) return;
  Message again = make_message(*body);
  auto back = read_message<T>(again);
  CHECK(back.has_value());
  CHECK(make_message(*back).front == again.front);
}

/// A message out of a fuzzer's bytes: version, length of the data part (the last bytes), and the rest in front.
inline Message message_from(const std::uint8_t* bytes, std::size_t size) {
  Message message;
  if (size < 2) return message;
  message.version = bytes[0] % 12;
  Buffer whole = Buffer::copy_of(std::as_bytes(std::span(bytes, size)));
  std::size_t data = std::min<std::size_t>(bytes[1], size - 2);
  message.front = whole.slice(2, size - 2 - data);
  message.data = whole.slice(size - data);
  return message;
}

}  // namespace spirula::msg
