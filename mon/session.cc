#include "mon/session.h"

#include "base/log.h"

namespace spirula::mon {

SessionRef SessionList::add(msg::ConnectionRef connection, MonotonicTime now) {
  auto session = std::make_shared<Session>();
  session->connection = connection;
  session->since = now;
  auto caps = MonCaps::parse(connection->identity().caps);
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
