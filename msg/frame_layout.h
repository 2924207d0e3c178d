#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

/// Sizes and marks of the msgr2.1 frame, for the sources of frame.h. Sources: Ceph src/msg/async/frames_v2.h; Linux
/// include/linux/ceph/messenger.h.
namespace spirula::msg::frame_layout {

inline constexpr std::size_t preamble_size = 32, crc_size = 4;
inline constexpr std::size_t block_size = 16, tag_size = 16;  ///< AES-GCM
inline constexpr std::size_t inline_size = 48;                ///< of the control, beside a SECURE preamble
inline constexpr std::size_t secure_head_size = preamble_size + inline_size;
inline constexpr std::size_t crc_epilogue_size = 1 + 3 * crc_size;
inline constexpr std::size_t secure_epilogue_size = block_size;  ///< the status, padded
inline constexpr std::byte status_mask{0xf}, status_aborted{1}, status_complete{0xe};
inline constexpr std::size_t page_size = 4096;

inline constexpr std::size_t padded(std::size_t size) {
  return (size + block_size - 1) & ~(block_size - 1);
}
inline std::uint32_t load_u32(const std::byte* at) {
  std::uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
inline void store_u32(std::byte* at, std::uint32_t value) {
  std::memcpy(at, &value, sizeof value);
}

}  // namespace spirula::msg::frame_layout
