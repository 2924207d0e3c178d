#include "mds/types.h"

namespace spirula::mds::cap {

std::string describe(Bits bits) {
  if (!bits) return "-";
  std::string text;
  if (bits & pin) text += 'p';
  constexpr char names[] = {'A', 'L', 'X', 'F'};
  constexpr char letters[] = {'s', 'x', 'c', 'r', 'w', 'b', 'a', 'l'};
  for (Group group : groups) {
    Bits own = (bits & mask(group)) >> shift(group);
    if (!own) continue;
    text += names[static_cast<int>(group)];
    for (int i = 0; i < 8; ++i)
      if (own >> i & 1) text += letters[i];
  }
  return text;
}

Bits wanted_by_open(std::uint32_t flags) {
  using Open = msg::ClientRequest::Open;
  Bits bits = pin;
  if (flags & Open::directory) return bits;
  std::uint32_t access = flags & Open::access_mask;
  if (access == 0 || access == Open::read_write || access == 3) bits |= file_shared | file_read | file_cache;
  if (access == Open::write_only || access == Open::read_write || access == 3)
    bits |= file_exclusive | file_write | file_buffer | auth_shared | auth_exclusive | xattr_shared | xattr_exclusive;
  if (flags & Open::lazy) bits |= file_lazy;
  return bits;
}

}  // namespace spirula::mds::cap
