#include "osd/watch.h"

#include "osd/limits.h"

namespace spirula::osd {

using msg::WatchNotify;

void ObjectWatches::restore(const ObjectInfo& info, MonotonicTime now) {
  for (const auto& [key, watch] : info.watchers) {
    Watcher& watcher = watchers_[key];
    watcher.info = watch;
    watcher.deadline = now + std::chrono::seconds(watch.timeout_seconds);
  }
}

void ObjectWatches::connect(const WatchEffect& watch, msg::ConnectionRef connection, MonotonicTime now) {
  const WatchKey& key = watch.key;
  Watcher& watcher = watchers_[key];
  watcher.info = watch.info;
  watcher.pings = watch.pings;
  watcher.connection = std::move(connection);
  watcher.deadline = now + std::chrono::seconds(watcher.info.timeout_seconds);
  // What it missed while it was away is still waiting for its answer.
  for (auto& [id, notify] : notifies_) {
    if (!notify.waiting.contains(key) || !watcher.connection) continue;
    WatchNotify message;
    message.kind = WatchNotify::Kind::notify;
    message.cookie = key.cookie;
    message.notify_id = id;
    message.payload = notify.payload;
    message.notifier = notify.notifier_id;
    watcher.connection->send(msg::make_message(message));
  }
}

bool ObjectWatches::ping(const WatchKey& key, MonotonicTime now) {
  auto found = watchers_.find(key);
  if (found == watchers_.end() || !found->second.connection) return false;
  found->second.deadline = now + std::chrono::seconds(found->second.info.timeout_seconds);
  return true;
}

bool ObjectWatches::is_away(const WatchKey& key) const {
  auto found = watchers_.find(key);
  return found == watchers_.end() || !found->second.connection;
}

void ObjectWatches::remove(const WatchKey& key, bool tell) {
  auto found = watchers_.find(key);
  if (found == watchers_.end()) return;
  if (tell && found->second.connection) {
    WatchNotify message;
    message.kind = WatchNotify::Kind::disconnect;
    message.cookie = key.cookie;
    message.return_code = -ENOTCONN;
    found->second.connection->send(msg::make_message(message));
  }
  watchers_.erase(found);
  gone(key);
}

void ObjectWatches::gone(const WatchKey& key) {
  for (auto it = notifies_.begin(); it != notifies_.end();) {
    Notify& notify = it->second;
    if (notify.waiting.erase(key)) {
      notify.response.missed.emplace_back(key.client.number, key.cookie);
      if (notify.waiting.empty()) {
        it = complete(it);
        continue;
      }
    }
    ++it;
  }
}

void ObjectWatches::disconnected(const msg::ConnectionRef& connection, MonotonicTime now) {
  for (auto& [key, watcher] : watchers_) {
    if (watcher.connection != connection) continue;
    watcher.connection = nullptr;
    watcher.deadline = now + std::chrono::seconds(watcher.info.timeout_seconds);
  }
}

Result<> ObjectWatches::start(Notify notify, const ObjectInfo& info) {
  if (notifies_.size() >= limits::notifies_max || payload_bytes_ + notify.payload.size() > limits::notify_bytes_max) {
    send_completion(notify, -EBUSY);
    return Errc::busy;
  }
  for (const auto& [key, watch] : info.watchers) {
    auto found = watchers_.find(key);
    if (found == watchers_.end()) continue;
    notify.waiting.insert(key);
    if (!found->second.connection) continue;
    WatchNotify message;
    message.kind = WatchNotify::Kind::notify;
    message.cookie = key.cookie;
    message.notify_id = notify.id;
    message.payload = notify.payload;
    message.notifier = notify.notifier_id;
    found->second.connection->send(msg::make_message(message));
  }
  if (notify.waiting.empty()) {
    send_completion(notify, 0);
    return {};
  }
  payload_bytes_ += notify.payload.size();
  notifies_.emplace(notify.id, std::move(notify));
  return {};
}

void ObjectWatches::acknowledge(const NotifyAckEffect& ack, const msg::EntityName& client) {
  auto found = notifies_.find(ack.notify_id);
  if (found == notifies_.end()) return;
  Notify& notify = found->second;
  for (auto it = notify.waiting.begin(); it != notify.waiting.end();) {
    if (it->client != client || (ack.has_cookie && it->cookie != ack.cookie)) {
      ++it;
      continue;
    }
    notify.response.replies.emplace(std::pair(static_cast<std::uint64_t>(client.number), it->cookie), ack.payload);
    it = notify.waiting.erase(it);
  }
  if (!notify.waiting.empty()) return;
  complete(found);
}

std::map<std::uint64_t, ObjectWatches::Notify>::iterator ObjectWatches::complete(
    std::map<std::uint64_t, Notify>::iterator at) {
  send_completion(at->second, at->second.response.missed.empty() ? 0 : -ETIMEDOUT);
  payload_bytes_ -= at->second.payload.size();
  return notifies_.erase(at);
}

void ObjectWatches::send_completion(Notify& notify, std::int32_t result) {
  if (!notify.notifier) return;
  WatchNotify message;
  message.kind = WatchNotify::Kind::notify_complete;
  message.cookie = notify.cookie;
  message.notify_id = notify.id;
  message.return_code = result;
  message.notifier = notify.notifier_id;
  message.data = encode(notify.response);
  notify.notifier->send(msg::make_message(message));
}

std::vector<WatchKey> ObjectWatches::expire(MonotonicTime now) {
  for (auto it = notifies_.begin(); it != notifies_.end();) {
    Notify& notify = it->second;
    if (notify.deadline > now) {
      ++it;
      continue;
    }
    for (const WatchKey& key : notify.waiting) notify.response.missed.emplace_back(key.client.number, key.cookie);
    it = complete(it);
  }
  std::vector<WatchKey> over;
  for (auto& [key, watcher] : watchers_) {
    if (watcher.deadline > now) continue;
    // Whoever is connected and never promised to ping stays as long as its connection does.
    if (watcher.connection && !watcher.pings && !watcher.connection->closed()) continue;
    over.push_back(key);
  }
  return over;
}

}  // namespace spirula::osd
