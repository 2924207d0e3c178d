#include "appliance/addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace spirula::appliance {
namespace {

std::string print(const in_addr& address) {
  char text[INET_ADDRSTRLEN];
  ::inet_ntop(AF_INET, &address, text, sizeof text);
  return text;
}

}  // namespace

std::optional<std::string> primary_address() {
  // Connecting a datagram socket only asks the routing table. 192.0.2.1 is nobody's (RFC 5737).
  if (int probe = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); probe >= 0) {
    sockaddr_in there{};
    there.sin_family = AF_INET;
    there.sin_port = htons(9);
    ::inet_pton(AF_INET, "192.0.2.1", &there.sin_addr);
    sockaddr_in here{};
    socklen_t size = sizeof here;
    const bool found = ::connect(probe, reinterpret_cast<sockaddr*>(&there), sizeof there) == 0 &&
                       ::getsockname(probe, reinterpret_cast<sockaddr*>(&here), &size) == 0;
    ::close(probe);
    if (found) return print(here.sin_addr);
  }
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return {};
  std::optional<std::string> address;
  for (ifaddrs* each = all; each && !address; each = each->ifa_next) {
    if (!each->ifa_addr || each->ifa_addr->sa_family != AF_INET) continue;
    if (!(each->ifa_flags & IFF_UP) || (each->ifa_flags & IFF_LOOPBACK)) continue;
    address = print(reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr);
  }
  ::freeifaddrs(all);
  return address;
}

}  // namespace spirula::appliance
