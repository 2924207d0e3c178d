#pragma once
#include <concepts>
#include <cstdint>
#include <memory>

#include "base/buffer.h"
#include "base/codec.h"

namespace spirula::msg {

/// CEPH_MSG_PRIO_*.
namespace priority {
inline constexpr std::uint16_t low = 64, normal = 127, high = 196, highest = 255;
}

/// One message as the wire carries it: the part of Ceph's ceph_msg_header2 that its sender chooses, and three runs of
/// bytes. `front` holds the fields, `data` the payload of reads and writes.
struct Message {
  std::uint16_t type = 0;
  std::uint16_t version = 1;  ///< of the front's encoding
  std::uint16_t compat = 1;
  std::uint16_t priority = priority::normal;
  std::uint64_t tid = 0;
  std::uint64_t sequence = 0;     ///< set by the connection
  std::uint16_t data_offset = 0;  ///< where in its object the data goes, modulo the page size: only a hint
  Buffer front, middle;
  BufferList data;
  /// Held while a received message is being worked on: the connection reads on only within its budget.
  std::shared_ptr<void> budget_hold;

  std::size_t size() const { return front.size() + middle.size() + data.size(); }
};

/// The typed body of a message: which message it is, and its fields. It is not wrapped in a versioned envelope; the
/// message header carries the version, and `wire.since()` goes by it.
///
///   struct MonGetVersion {
///     static constexpr std::uint16_t message_type = 19, header_version = 1, header_compat = 1;
///     std::uint64_t handle = 0;
///     std::string what;
///     static void fields(auto& self, auto& wire) { wire(self.handle); wire(self.what, 64); }
///   };
///
/// A body with a member `BufferList data` takes the message's data; one with `Buffer middle` its middle part.
/// A body may define `void encode(Encoder&) const` and `void decode(Decoder&)` instead of fields().
template <class T>
concept Body = requires {
  { T::message_type } -> std::convertible_to<std::uint16_t>;
  { T::header_version } -> std::convertible_to<std::uint16_t>;
  { T::header_compat } -> std::convertible_to<std::uint16_t>;
};

/// The message for `body`; `features` are those of the connection it will go to.
template <Body T>
Message make_message(const T& body, std::uint64_t tid = 0, std::uint64_t features = ~std::uint64_t{0}) {
  Message message;
  message.type = T::message_type;
  message.version = T::header_version;
  message.compat = T::header_compat;
  message.tid = tid;
  message.front = encode(body, features);
  if constexpr (requires { requires std::same_as<decltype(body.middle), Buffer>; }) message.middle = body.middle;
  if constexpr (requires { requires std::same_as<decltype(body.data), BufferList>; }) message.data = body.data;
  return message;
}

/// Errc::malformed; Errc::unsupported if the sender demands a newer reader.
template <Body T>
Result<T> read_message(const Message& message, std::uint64_t features = ~std::uint64_t{0}) {
  if (message.compat > T::header_version) return Errc::unsupported;
  Decoder decoder(message.front, features);
  decoder.assume_version(message.version);
  T body{};
  decoder(body);
  TRY(decoder.finish());
  if constexpr (requires { requires std::same_as<decltype(body.middle), Buffer>; }) body.middle = message.middle;
  if constexpr (requires { requires std::same_as<decltype(body.data), BufferList>; }) body.data = message.data;
  return body;
}

}  // namespace spirula::msg
