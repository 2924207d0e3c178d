#include "mon/session.h"

#include "base/log.h"

namespace spirula::mon {

bool Session::allows(std::string_view service, unsigned need, std::string_view command,
                     const std::map<std::string, std::string>& arguments) const {
  Endpoint from;
  auto address = connection->peer_address();
  if (!address.addresses.empty()) from = address.addresses.front().endpoint;
  return caps.allows(name(), service, need, command, arguments, &from);
}

SessionRef SessionList::add(msg::ConnectionRef connection, MonotonicTime now) {
  auto session = std::make_shared<Session>();
  session->connection = connection;
  session->since = now;
  session->number = ++last_number_;
  auto caps = msg::MonCaps::parse(connection->identity().caps);
  if (caps)
    session->caps = std::move(*caps);
  else
    log_warning("mon", "{}: its capabilities do not parse, so it has none", connection->describe());
  connection->context = session;
  sessions_.insert(session);
  return session;
}

void SessionList::remove(const msg::ConnectionRef& connection) {
  if (auto session = of(connection)) {
    sessions_.erase(session);
    connection->context.reset();  // it holds the connection
  }
}

SessionRef SessionList::of(const msg::ConnectionRef& connection) {
  return std::static_pointer_cast<Session>(connection->context);
}

SessionRef SessionList::find(const msg::KeyName& name) const {
  SessionRef newest;
  for (const auto& session : sessions_)
    if (session->name() == name && (!newest || newest->since < session->since)) newest = session;
  return newest;
}

}  // namespace spirula::mon
