#include "mon/state.h"

namespace spirula::mon {
namespace {

struct SavedService {
  std::uint8_t service = 0;
  Buffer bytes;
  static void fields(auto& self, auto& wire) {
    wire(self.service);
    wire(self.bytes);
  }
};

struct Checkpoint {
  static constexpr std::uint8_t version = 1, compat = 1;
  std::vector<SavedService> services;
  static void fields(auto& self, auto& wire) { wire(self.services, 255); }
};

}  // namespace

State::State() {
  std::apply(
      [](auto&... each) { ((each = std::make_shared<typename std::decay_t<decltype(each)>::element_type>()), ...); },
      services_);
}

Result<> State::apply(const Decision& decision) {
  State next = *this;
  for (const auto& step : decision.steps) {
    Result<> applied = Errc::unsupported;
    auto try_service = [&]<class S>(const std::shared_ptr<const S>&) {
      if (S::service_id != step.service) return;
      auto change = decode<typename S::Change>(step.change);
      applied = change ? next.apply<S>(*change) : Result<>(change.error());
    };
    std::apply([&](const auto&... each) { (try_service(each), ...); }, services_);
    TRY(applied);
  }
  *this = std::move(next);
  return {};
}

Buffer State::save() const {
  Checkpoint checkpoint;
  auto add = [&]<class S>(const std::shared_ptr<const S>& service) {
    checkpoint.services.push_back({S::service_id, encode(*service)});
  };
  std::apply([&](const auto&... each) { (add(each), ...); }, services_);
  return encode(checkpoint);
}

Result<State> State::load(Buffer bytes) {
  TRY(auto checkpoint, decode<Checkpoint>(std::move(bytes)));
  State state;
  for (auto& saved : checkpoint.services) {
    Result<> loaded = Errc::unsupported;
    auto try_service = [&]<class S>(std::shared_ptr<const S>& service) {
      if (S::service_id != saved.service) return;
      auto value = decode<S>(saved.bytes);
      if (value) service = std::make_shared<S>(std::move(*value));
      loaded = value ? Result<>() : Result<>(value.error());
    };
    std::apply([&](auto&... each) { (try_service(each), ...); }, state.services_);
    TRY(loaded);
  }
  return state;
}

}  // namespace spirula::mon
