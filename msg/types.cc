#include "msg/types.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <time.h>

#include <charconv>
#include <ctime>

namespace spirula::msg {

const char* describe(EntityType type) {
  switch (type) {
    case EntityType::mon:
      return "mon";
    case EntityType::mds:
      return "mds";
    case EntityType::osd:
      return "osd";
    case EntityType::client:
      return "client";
    case EntityType::mgr:
      return "mgr";
    case EntityType::auth:
      return "auth";
    default:
      return "unknown";
  }
}

std::string EntityName::describe() const {
  return number < 0 ? fmt::format("{}.?", msg::describe(type)) : fmt::format("{}.{}", msg::describe(type), number);
}

Result<KeyName> KeyName::parse(std::string_view text) {
  for (EntityType type : {EntityType::mon, EntityType::mds, EntityType::osd, EntityType::client, EntityType::mgr}) {
    std::string_view prefix = msg::describe(type);
    if (text.starts_with(prefix) && text.substr(prefix.size()).starts_with('.'))
      return KeyName{static_cast<std::uint32_t>(type), std::string(text.substr(prefix.size() + 1))};
  }
  return Errc::invalid;
}

std::string KeyName::describe() const {
  return fmt::format("{}.{}", msg::describe(static_cast<EntityType>(type)), id);
}

namespace {
constexpr std::uint16_t family_ipv4 = 2, family_ipv6 = 10;  // AF_INET, AF_INET6 as Linux numbers them
}

void Address::encode(Encoder& encoder) const {
  encoder(std::uint8_t{1});  // marks an entity_addr_t of the new form
  encoder.envelope(1, 1, [&] {
    encoder(type);
    encoder(nonce);
    if (!has_endpoint) {
      encoder(std::uint32_t{0});
      return;
    }
    encoder(std::uint32_t{endpoint.ipv6 ? 28u : 16u});  // sizeof(sockaddr_in6), sizeof(sockaddr_in)
    encoder(endpoint.ipv6 ? family_ipv6 : family_ipv4);
    encoder(static_cast<std::uint8_t>(endpoint.port >> 8));
    encoder(static_cast<std::uint8_t>(endpoint.port));
    ByteView bytes = std::as_bytes(std::span(endpoint.address));
    if (endpoint.ipv6) {
      encoder.zeros(4);  // flow information
      encoder.raw(bytes);
      encoder.zeros(4);  // scope
    } else {
      encoder.raw(bytes.first(4));
      encoder.zeros(8);
    }
  });
}

namespace {

void decode_socket_address(Address& address, Decoder& decoder) {
  std::uint32_t length = decoder.read<std::uint32_t>();
  address.has_endpoint = length > 0;
  address.endpoint = {};
  if (length == 0) return;
  Decoder inner(decoder.raw(length));
  auto family = inner.read<std::uint16_t>();
  auto high = inner.read<std::uint8_t>();
  address.endpoint.port = static_cast<std::uint16_t>(high << 8 | inner.read<std::uint8_t>());
  if (family == family_ipv6) {
    address.endpoint.ipv6 = true;
    inner.skip(4);
    inner(address.endpoint.address);
  } else if (family == family_ipv4) {
    std::array<std::uint8_t, 4> bytes{};
    inner(bytes);
    std::copy(bytes.begin(), bytes.end(), address.endpoint.address.begin());
  } else if (family == 0) {
    address.endpoint = {};  // a port without a host is none
    address.has_endpoint = false;
  } else {
    inner.fail();
  }
  if (inner.failed()) decoder.fail();
}

void decode_marked_address(Address& address, Decoder& decoder) {
  decoder.envelope(1, [&] {
    decoder(address.type);
    decoder(address.nonce);
    decode_socket_address(address, decoder);
  });
}

}  // namespace

void Address::decode(Decoder& decoder) {
  auto marker = decoder.read<std::uint8_t>();
  if (marker == 1) return decode_marked_address(*this, decoder);
  if (marker != 0) return decoder.fail();
  // The old form: a 32-bit type whose first byte we have read, a nonce and a sockaddr_storage.
  decoder.skip(3);
  type = Type::legacy;
  decoder(nonce);
  Decoder storage(decoder.raw(128));
  auto family_high = storage.read<std::uint8_t>();
  auto family = family_high << 8 | storage.read<std::uint8_t>();
  auto high = storage.read<std::uint8_t>();
  endpoint = {};
  endpoint.port = static_cast<std::uint16_t>(high << 8 | storage.read<std::uint8_t>());
  endpoint.ipv6 = family == family_ipv6;
  has_endpoint = family == family_ipv4 || family == family_ipv6;
  if (endpoint.ipv6) {
    storage.skip(4);
    storage(endpoint.address);
  } else {
    for (int i = 0; i < 4; ++i) storage(endpoint.address[i]);
  }
  if (!has_endpoint) endpoint = {};
  if (storage.failed()) decoder.fail();
}

std::string Address::describe() const {
  static constexpr const char* names[] = {"-", "v1:", "v2:", "any:"};
  auto index = static_cast<std::uint32_t>(type);
  if (!has_endpoint) return ":/0";
  return fmt::format("{}{}/{}", names[index < 4 ? index : 0], endpoint.describe(), nonce);
}

Address AddressVector::msgr2() const {
  for (const Address& each : addresses)
    if (each.type == Address::Type::msgr2) return each;
  return {};
}

void AddressVector::encode(Encoder& encoder) const {
  encoder(std::uint8_t{2});  // marks an entity_addrvec_t
  encoder(addresses);
}

void AddressVector::decode(Decoder& decoder) {
  addresses.clear();
  auto marker = decoder.read<std::uint8_t>();
  if (marker == 2) {
    decoder(addresses, 64);
  } else if (marker == 1) {
    Address one;
    decode_marked_address(one, decoder);
    addresses.push_back(one);
  } else {
    decoder.fail();
  }
}

std::string AddressVector::describe() const {
  std::string text = "[";
  for (const Address& each : addresses) text += (text.size() > 1 ? "," : "") + each.describe();
  return text + "]";
}

Time Time::from(WallTime wall) {
  auto total = wall.time_since_epoch().count();
  return {static_cast<std::uint32_t>(total / 1'000'000'000), static_cast<std::uint32_t>(total % 1'000'000'000)};
}

WallTime Time::wall() const {
  return WallTime(std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanoseconds));
}

std::string Time::describe() const {
  std::time_t when = seconds;
  std::tm parts;
  gmtime_r(&when, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}+0000", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, nanoseconds / 1000);
}

Uuid Uuid::generate(Random& random) {
  Uuid uuid;
  random.fill(std::as_writable_bytes(std::span(uuid.bytes)));
  uuid.bytes[6] = (uuid.bytes[6] & 0x0f) | 0x40;  // RFC 4122, version 4
  uuid.bytes[8] = (uuid.bytes[8] & 0x3f) | 0x80;
  return uuid;
}

Result<Uuid> Uuid::parse(std::string_view text) {
  if (text.size() != 36) return Errc::invalid;
  Uuid uuid;
  std::size_t at = 0;
  for (std::size_t i = 0; i < 36;) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      if (text[i++] != '-') return Errc::invalid;
      continue;
    }
    auto [end, error] = std::from_chars(text.data() + i, text.data() + i + 2, uuid.bytes[at++], 16);
    if (error != std::errc{} || end != text.data() + i + 2) return Errc::invalid;
    i += 2;
  }
  return uuid;
}

std::string Uuid::describe() const {
  std::string hex = to_hex(std::as_bytes(std::span(bytes)));
  for (std::size_t at : {20, 16, 12, 8}) hex.insert(at, 1, '-');
  return hex;
}

bool Uuid::is_zero() const {
  return bytes == decltype(bytes){};
}

std::string Version::describe() const {
  return fmt::format("{}'{}", epoch.value, version);
}

void PgId::encode(Encoder& encoder) const {
  encoder(std::uint8_t{1});
  encoder(pool);
  encoder(seed);
  encoder(std::int32_t{-1});  // "preferred", gone from Ceph but not from its encoding
}

void PgId::decode(Decoder& decoder) {
  decoder.skip(1);
  decoder(pool);
  decoder(seed);
  decoder.skip(4);
}

std::string PgId::describe() const {
  return fmt::format("{}.{:x}", pool, seed);
}

Result<PgId> PgId::parse(std::string_view text) {
  PgId pg;
  auto dot = text.find('.');
  if (dot == text.npos) return Errc::invalid;
  const char *middle = text.data() + dot, *finish = text.data() + text.size();
  auto first = std::from_chars(text.data(), middle, pg.pool);
  auto second = std::from_chars(middle + 1, finish, pg.seed, 16);
  if (first.ec != std::errc{} || first.ptr != middle || second.ec != std::errc{} || second.ptr != finish)
    return Errc::invalid;
  return pg;
}

void ObjectLocator::encode(Encoder& encoder) const {
  // A hash instead of a key needs a reader that knows it (Ceph raises compat to 6 then).
  encoder.envelope(6, hash != -1 ? 6 : 3, [&] {
    encoder(pool);
    encoder(std::int32_t{-1});
    encoder(key);
    encoder(name_space);
    encoder(hash);
  });
}

void ObjectLocator::decode(Decoder& decoder) {
  decoder.envelope(6, [&] {
    if (decoder.version() < 2) return decoder.fail();  // no supported client writes a 32-bit pool
    decoder(pool);
    decoder.skip(4);
    decoder(key, 4096);
    decoder.since(5, name_space, 4096);
    hash = -1;
    decoder.since(6, hash);
  });
}

bool SnapContext::is_valid() const {
  constexpr SnapId snap_max{~std::uint64_t{2}};  // CEPH_MAXSNAP: above it are names of other things
  if (sequence > snap_max) return false;
  for (std::size_t i = 0; i < snaps.size(); ++i)
    if (i ? snaps[i] >= snaps[i - 1] : snaps[i] > sequence) return false;
  return true;
}

}  // namespace spirula::msg
