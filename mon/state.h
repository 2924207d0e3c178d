#pragma once
#include <concepts>
#include <cstdint>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "base/codec.h"
#include "mon/auth_service.h"
#include "mon/config_service.h"
#include "mon/fs_service.h"
#include "mon/health_service.h"
#include "mon/log_service.h"
#include "mon/mon_service.h"
#include "mon/osd_service.h"

/// The replicated state of the monitor: a tuple of services, each a value that only changes by applying changes.
///
/// A service S has
///   static constexpr std::uint8_t service_id    its tag in decisions and checkpoints; never reused
///   struct Change                               with the codec's fields(): one step of the machine
///   Result<> apply(const Change&)               deterministic: same state and change, same result, on any monitor
///   fields()                                    the checkpoint of the whole service
/// Nothing of a clock, dice or the network may influence apply(): whoever drafts a change puts such values into it.
namespace spirula::mon {

template <class S>
concept Service = requires(S s, const typename S::Change& change) {
  { S::service_id } -> std::convertible_to<std::uint8_t>;
  { s.apply(change) } -> std::same_as<Result<>>;
};

/// What one decision changes; the payload of a log record (and, later, of a consensus value).
struct Decision {
  static constexpr std::uint8_t version = 1, compat = 1;
  struct Step {
    std::uint8_t service = 0;
    Buffer change;
    static void fields(auto& self, auto& wire) {
      wire(self.service);
      wire(self.change);
    }
  };
  std::vector<Step> steps;
  static void fields(auto& self, auto& wire) { wire(self.steps); }
};

/// The services as of one decision. Copying shares them; a shared service is never modified.
class State {
 public:
  State();

  template <Service S>
  const S& get() const {
    return *std::get<std::shared_ptr<const S>>(services_);
  }
  const MonService& mon() const { return get<MonService>(); }
  const OsdService& osd() const { return get<OsdService>(); }
  const FsService& fs() const { return get<FsService>(); }
  const AuthService& auth() const { return get<AuthService>(); }
  const ConfigService& config() const { return get<ConfigService>(); }
  const ConfigKeyService& config_key() const { return get<ConfigKeyService>(); }
  const LogService& log() const { return get<LogService>(); }
  const HealthService& health() const { return get<HealthService>(); }

  /// The next state of one service. On error nothing has changed.
  template <Service S>
  Result<> apply(const typename S::Change& change) {
    auto& service = std::get<std::shared_ptr<const S>>(services_);
    auto next = std::make_shared<S>(*service);
    TRY(next->apply(change));
    service = std::move(next);
    return {};
  }
  /// Errc::malformed for bytes that are no decision of ours, Errc::unsupported for a service we do not know.
  Result<> apply(const Decision& decision);

  /// A checkpoint, and back.
  Buffer save() const;
  static Result<State> load(Buffer bytes);

 private:
  std::tuple<std::shared_ptr<const MonService>, std::shared_ptr<const OsdService>, std::shared_ptr<const FsService>,
             std::shared_ptr<const AuthService>, std::shared_ptr<const ConfigService>,
             std::shared_ptr<const ConfigKeyService>, std::shared_ptr<const LogService>,
             std::shared_ptr<const HealthService>>
      services_;
};

/// A state in the making: reads see what was drafted before.
class Draft {
 public:
  explicit Draft(State state) : state_(std::move(state)) {}

  const State* operator->() const { return &state_; }
  const State& state() const { return state_; }
  template <Service S>
  Result<> change(const typename S::Change& change) {
    TRY(state_.apply<S>(change));
    decision_.steps.push_back({S::service_id, encode(change)});
    return {};
  }
  bool empty() const { return decision_.steps.empty(); }
  const Decision& decision() const { return decision_; }

 private:
  State state_;
  Decision decision_;
};

}  // namespace spirula::mon
