#pragma once
#include <map>

#include "msg/messenger.h"

namespace spirula::msg {

/// Hands a messenger's events on by kind of peer: monitors to the monitor client, OSDs to the objecter, and so on.
/// Filled before the messenger starts; the dispatchers outlive it.
class PeerRouter : public Dispatcher {
 public:
  void route(EntityType peer, Dispatcher& to) { routes_[peer] = &to; }
  /// Whatever has no route of its own.
  void route_rest(Dispatcher& to) { rest_ = &to; }

  void on_message(ConnectionRef connection, Message message) override {
    if (Dispatcher* to = find(connection)) to->on_message(std::move(connection), std::move(message));
  }
  void on_accept(ConnectionRef connection) override {
    if (Dispatcher* to = find(connection)) to->on_accept(std::move(connection));
  }
  void on_connect(ConnectionRef connection) override {
    if (Dispatcher* to = find(connection)) to->on_connect(std::move(connection));
  }
  void on_reset(ConnectionRef connection) override {
    if (Dispatcher* to = find(connection)) to->on_reset(std::move(connection));
  }
  void on_connect_failed(ConnectionRef connection, std::error_code why) override {
    if (Dispatcher* to = find(connection)) to->on_connect_failed(std::move(connection), why);
  }

 private:
  Dispatcher* find(const ConnectionRef& connection) const {
    auto at = routes_.find(connection->peer_name().type);
    return at != routes_.end() ? at->second : rest_;
  }
  std::map<EntityType, Dispatcher*> routes_;
  Dispatcher* rest_ = nullptr;
};

}  // namespace spirula::msg
