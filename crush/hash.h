#pragma once

#include <cstdint>

namespace spirula::crush {

/// Hash functions a bucket can name. Ceph: CRUSH_HASH_RJENKINS1, the only one ever defined.
inline constexpr std::uint8_t hash_rjenkins1 = 0;

namespace detail {

/// Robert Jenkins' 96-bit mix (public domain, https://burtleburtle.net/bob/hash/evahash.html).
constexpr void jenkins_mix(std::uint32_t& a, std::uint32_t& b, std::uint32_t& c) {
  a = (a - b - c) ^ (c >> 13);
  b = (b - c - a) ^ (a << 8);
  c = (c - a - b) ^ (b >> 13);
  a = (a - b - c) ^ (c >> 12);
  b = (b - c - a) ^ (a << 16);
  c = (c - a - b) ^ (b >> 5);
  a = (a - b - c) ^ (c >> 3);
  b = (b - c - a) ^ (a << 10);
  c = (c - a - b) ^ (b >> 15);
}

/// The three words CRUSH mixes with its arguments. Ceph: crush/hash.c.
inline constexpr std::uint32_t hash_seed = 1315423911, pad_x = 231232, pad_y = 1232;

}  // namespace detail

/// CRUSH's hash of one to five words. The order in which the arguments and the two pads meet is the function:
/// every client computes placements from it, so it can never change. Ceph: crush_hash32_rjenkins1*.
constexpr std::uint32_t hash32(std::uint32_t a) {
  std::uint32_t hash = detail::hash_seed ^ a, b = a, x = detail::pad_x, y = detail::pad_y;
  detail::jenkins_mix(b, x, hash);
  detail::jenkins_mix(y, a, hash);
  return hash;
}

constexpr std::uint32_t hash32(std::uint32_t a, std::uint32_t b) {
  std::uint32_t hash = detail::hash_seed ^ a ^ b, x = detail::pad_x, y = detail::pad_y;
  detail::jenkins_mix(a, b, hash);
  detail::jenkins_mix(x, a, hash);
  detail::jenkins_mix(b, y, hash);
  return hash;
}

constexpr std::uint32_t hash32(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  std::uint32_t hash = detail::hash_seed ^ a ^ b ^ c, x = detail::pad_x, y = detail::pad_y;
  detail::jenkins_mix(a, b, hash);
  detail::jenkins_mix(c, x, hash);
  detail::jenkins_mix(y, a, hash);
  detail::jenkins_mix(b, x, hash);
  detail::jenkins_mix(y, c, hash);
  return hash;
}

constexpr std::uint32_t hash32(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  std::uint32_t hash = detail::hash_seed ^ a ^ b ^ c ^ d, x = detail::pad_x, y = detail::pad_y;
  detail::jenkins_mix(a, b, hash);
  detail::jenkins_mix(c, d, hash);
  detail::jenkins_mix(a, x, hash);
  detail::jenkins_mix(y, b, hash);
  detail::jenkins_mix(c, x, hash);
  detail::jenkins_mix(y, d, hash);
  return hash;
}

constexpr std::uint32_t hash32(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d, std::uint32_t e) {
  std::uint32_t hash = detail::hash_seed ^ a ^ b ^ c ^ d ^ e, x = detail::pad_x, y = detail::pad_y;
  detail::jenkins_mix(a, b, hash);
  detail::jenkins_mix(c, d, hash);
  detail::jenkins_mix(e, x, hash);
  detail::jenkins_mix(y, a, hash);
  detail::jenkins_mix(b, x, hash);
  detail::jenkins_mix(y, c, hash);
  detail::jenkins_mix(d, x, hash);
  detail::jenkins_mix(y, e, hash);
  return hash;
}

}  // namespace spirula::crush
