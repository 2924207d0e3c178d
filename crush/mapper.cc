#include "crush/mapper.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "crush/hash.h"

namespace spirula::crush {
namespace {

/// A position of an indep rule that is still being tried. Ceph: CRUSH_ITEM_UNDEF.
constexpr ItemId item_undefined = 0x7ffffffe;

/// The tunables as the steps of one rule have changed them.
struct Knobs {
  std::uint32_t tries;
  std::uint32_t leaf_tries = 0;  ///< 0: no set_chooseleaf_tries seen
  std::uint32_t local_tries;
  std::uint32_t local_fallback_tries;
  std::uint32_t vary_r;
  bool stable;
};

/// One choose step from one bucket.
struct Choice {
  std::int32_t type;
  bool to_leaf;                ///< also pick a device below each choice
  std::int32_t replicas;       ///< how many positions the step wants
  std::uint32_t tries;         ///< descents for each
  std::uint32_t leaf_tries;    ///< the same for the device below
  std::uint32_t parent_r = 0;  ///< for the device: the r that chose its ancestor
};

class Mapping {
 public:
  Mapping(const CrushMap& map, std::uint32_t x, std::size_t result_max, std::span<const Weight> reweights,
          const ChooseArgs* choose_args)
      : map_(map),
        x_(x),
        result_max_(result_max),
        reweights_(reweights),
        choose_args_(choose_args),
        knobs_{.tries = map.tunables.choose_total_tries + 1,  // the tunable counts retries
               .local_tries = map.tunables.choose_local_tries,
               .local_fallback_tries = map.tunables.choose_local_fallback_tries,
               .vary_r = map.tunables.chooseleaf_vary_r,
               .stable = map.tunables.chooseleaf_stable != 0} {}

  std::vector<ItemId> run(const Rule& rule) {
    for (const auto& step : rule.steps) run_step(step);
    return std::move(result_);
  }

 private:
  void run_step(const RuleStep& step) {
    const auto set = [&](std::uint32_t& knob, std::int32_t least) {
      if (step.arg1 >= least) knob = static_cast<std::uint32_t>(step.arg1);
    };
    switch (step.op) {
      case Op::take:
        if (is_bucket(step.arg1) ? map_.bucket(step.arg1) != nullptr : step.arg1 < map_.max_devices)
          working_.assign(1, step.arg1);
        break;
      case Op::set_choose_tries:
        return set(knobs_.tries, 1);
      case Op::set_chooseleaf_tries:
        return set(knobs_.leaf_tries, 1);
      case Op::set_choose_local_tries:
        return set(knobs_.local_tries, 0);
      case Op::set_choose_local_fallback_tries:
        return set(knobs_.local_fallback_tries, 0);
      case Op::set_chooseleaf_vary_r:
        return set(knobs_.vary_r, 0);
      case Op::set_chooseleaf_stable:
        if (step.arg1 >= 0) knobs_.stable = step.arg1 != 0;
        break;
      case Op::choose_firstn:
      case Op::chooseleaf_firstn:
        return choose_step(step, true);
      case Op::choose_indep:
      case Op::chooseleaf_indep:
        return choose_step(step, false);
      case Op::emit:
        for (const auto item : working_)
          if (result_.size() < result_max_) result_.push_back(item);
        working_.clear();
        break;
      case Op::noop:
        break;
      default:
        break;  // a step of the future is skipped, as in Ceph
    }
  }

  void choose_step(const RuleStep& step, bool firstn) {
    if (working_.empty()) return;
    const bool to_leaf = step.op == Op::chooseleaf_firstn || step.op == Op::chooseleaf_indep;
    std::int64_t replicas = step.arg1;
    if (replicas <= 0) replicas += static_cast<std::int64_t>(result_max_);
    Choice choice{.type = step.arg2,
                  .to_leaf = to_leaf,
                  .replicas = static_cast<std::int32_t>(replicas),
                  .tries = knobs_.tries,
                  .leaf_tries = knobs_.leaf_tries};
    if (choice.leaf_tries == 0) choice.leaf_tries = firstn && !map_.tunables.chooseleaf_descend_once ? knobs_.tries : 1;

    std::vector<ItemId> chosen;
    if (replicas > 0) {
      for (const auto item : working_) {
        // A device (or an unfilled position) leads nowhere further.
        const Bucket* from = map_.bucket(item);
        if (!from) continue;
        const std::size_t room = result_max_ - chosen.size();
        std::vector<ItemId> out, leaves;
        if (firstn) {
          choose_firstn(*from, choice, room, 0, out, to_leaf ? &leaves : nullptr);
        } else {
          const std::size_t positions = std::min(room, static_cast<std::size_t>(replicas));
          out.resize(positions);
          if (to_leaf) leaves.resize(positions);
          choose_indep(*from, choice, 0, positions, out, to_leaf ? &leaves : nullptr);
        }
        const auto& taken = to_leaf ? leaves : out;
        chosen.insert(chosen.end(), taken.begin(), taken.end());
      }
    }
    working_ = std::move(chosen);
  }

  /// Draws from one bucket. `position` is the result position, which selects a weight set.
  ItemId draw(const Bucket& bucket, std::uint32_t r, std::size_t position) {
    draws_ += bucket.size();
    std::span<const ItemId> ids;
    std::span<const Weight> weights;
    if (choose_args_ && bucket.algorithm == Algorithm::straw2) {
      if (const auto found = choose_args_->find(static_cast<std::uint32_t>(slot_of(bucket.id)));
          found != choose_args_->end()) {
        const auto& sets = found->second.weight_sets;
        if (!sets.empty()) weights = sets[std::min(position, sets.size() - 1)];
        ids = found->second.ids;
      }
    }
    return bucket.draw(x_, r, ids, weights, permutation_);
  }

  bool exhausted() const { return draws_ > limits::draws_max; }

  /// A device that no bucket should hold, or (in a hand-made map) a bucket that does not exist.
  bool out_of_range(ItemId item) const { return is_bucket(item) ? !map_.bucket(item) : item >= map_.max_devices; }

  std::int32_t type_of(ItemId item) const { return is_bucket(item) ? map_.bucket(item)->type : 0; }

  /// Fills `out` from position `out.size()` on, with up to `room` items that differ from one another, in the order
  /// they are found; failures leave no gap. With `leaves`, each item brings a device from below it.
  /// Ceph: crush_choose_firstn.
  void choose_firstn(const Bucket& from, const Choice& choice, std::size_t room, std::int64_t first_replica,
                     std::vector<ItemId>& out, std::vector<ItemId>* leaves) {
    for (auto replica = first_replica; replica < choice.replicas && room > 0 && !exhausted(); ++replica) {
      const auto item = choose_one(from, choice, room, static_cast<std::uint32_t>(replica), out, leaves);
      if (!item) continue;
      out.push_back(*item);
      --room;
    }
  }

  /// One replica of choose_firstn: descends, again with another r while what it finds is taken, out, or leafless.
  std::optional<ItemId> choose_one(const Bucket& from, const Choice& choice, std::size_t room, std::uint32_t replica,
                                   const std::vector<ItemId>& out, std::vector<ItemId>* leaves) {
    std::uint32_t failures = 0;        // over all descents; part of r
    std::uint32_t local_failures = 0;  // within this descent
    const Bucket* in = &from;
    while (!exhausted()) {
      ++draws_;
      const std::uint32_t r = replica + choice.parent_r + failures;
      ItemId item = 0;
      bool collided = false, rejected = false;
      if (in->size() == 0) {
        rejected = true;
      } else {
        const bool permute = knobs_.local_fallback_tries > 0 && local_failures >= in->size() / 2 &&
                             local_failures > knobs_.local_fallback_tries;
        item = permute ? in->draw_permuted(x_, r, permutation_) : draw(*in, r, out.size());
        if (permute) draws_ += in->size();
        if (out_of_range(item)) return std::nullopt;
        if (type_of(item) != choice.type) {
          if (!is_bucket(item)) return std::nullopt;
          in = map_.bucket(item);
          continue;
        }
        collided = std::ranges::find(out, item) != out.end();
        if (!collided && leaves) rejected = !choose_leaf(item, choice, room, r, *leaves);
        if (!collided && !rejected && !is_bucket(item)) rejected = is_out(reweights_, item, x_);
        if (!collided && !rejected) return item;
        // A leaf that was found for an item which is then turned away must not stay.
        if (leaves) leaves->resize(out.size());
      }
      ++failures;
      ++local_failures;
      if (collided && local_failures <= knobs_.local_tries) continue;  // the same bucket, next r
      if (knobs_.local_fallback_tries > 0 && local_failures <= in->size() + knobs_.local_fallback_tries) continue;
      if (failures >= choice.tries) return std::nullopt;
      in = &from;
      local_failures = 0;
    }
    return std::nullopt;
  }

  /// The device below a choice of chooseleaf firstn, appended to `leaves`. False if there is none to be had.
  bool choose_leaf(ItemId item, const Choice& choice, std::size_t room, std::uint32_t r, std::vector<ItemId>& leaves) {
    if (!is_bucket(item)) {
      leaves.push_back(item);
      return true;
    }
    const auto position = static_cast<std::int32_t>(leaves.size());
    const Choice below{.type = 0,
                       .to_leaf = false,
                       .replicas = knobs_.stable ? 1 : position + 1,
                       .tries = choice.leaf_tries,
                       .leaf_tries = 0,
                       .parent_r = knobs_.vary_r ? shift(r, knobs_.vary_r - 1) : 0};
    choose_firstn(*map_.bucket(item), below, room, knobs_.stable ? 0 : position, leaves, nullptr);
    return static_cast<std::int32_t>(leaves.size()) > position;
  }

  /// Fills positions [begin, end) of `out`, each on its own: one that cannot be filled stays item_none and moves no
  /// other. Ceph: crush_choose_indep.
  void choose_indep(const Bucket& from, const Choice& choice, std::size_t begin, std::size_t end,
                    std::vector<ItemId>& out, std::vector<ItemId>* leaves) {
    const auto fill = [&](ItemId what, ItemId with) {
      std::replace(out.begin() + begin, out.begin() + end, what, with);
      if (leaves) std::replace(leaves->begin() + begin, leaves->begin() + end, what, with);
    };
    std::fill(out.begin() + begin, out.begin() + end, item_undefined);
    if (leaves) std::fill(leaves->begin() + begin, leaves->begin() + end, item_undefined);
    std::size_t left = end - begin;
    for (std::uint32_t failures = 0; left > 0 && failures < choice.tries && !exhausted(); ++failures) {
      for (std::size_t position = begin; position < end; ++position) {
        if (out[position] != item_undefined) continue;
        choose_position(from, choice, begin, end, position, failures, out, leaves);
        if (out[position] != item_undefined) --left;
      }
    }
    fill(item_undefined, item_none);
  }

  /// One try for one position of choose_indep. Leaves item_undefined to be tried again, item_none to be given up.
  void choose_position(const Bucket& from, const Choice& choice, std::size_t begin, std::size_t end,
                       std::size_t position, std::uint32_t failures, std::vector<ItemId>& out,
                       std::vector<ItemId>* leaves) {
    const auto give_up = [&] {
      out[position] = item_none;
      if (leaves) (*leaves)[position] = item_none;
    };
    const auto replicas = static_cast<std::uint32_t>(choice.replicas);
    for (const Bucket* in = &from; !exhausted();) {
      ++draws_;
      // A uniform bucket whose size the step's width divides would draw the same items again, hence one more.
      const bool resonates = in->algorithm == Algorithm::uniform && in->size() % replicas == 0;
      const std::uint32_t r =
          static_cast<std::uint32_t>(position) + choice.parent_r + (resonates ? replicas + 1 : replicas) * failures;
      if (in->size() == 0) return;
      const ItemId item = draw(*in, r, begin);
      if (out_of_range(item)) return give_up();
      if (type_of(item) != choice.type) {
        if (!is_bucket(item)) return give_up();
        in = map_.bucket(item);
        continue;
      }
      if (std::find(out.begin() + begin, out.begin() + end, item) != out.begin() + end) return;
      if (leaves) {
        if (is_bucket(item)) {
          const Choice below{.type = 0,
                             .to_leaf = false,
                             .replicas = choice.replicas,
                             .tries = choice.leaf_tries,
                             .leaf_tries = 0,
                             .parent_r = r};
          choose_indep(*map_.bucket(item), below, position, position + 1, *leaves, nullptr);
          if ((*leaves)[position] == item_none) return;
        } else {
          (*leaves)[position] = item;
        }
      }
      if (!is_bucket(item) && is_out(reweights_, item, x_)) return;
      out[position] = item;
      return;
    }
  }

  /// r as a C int, shifted as x86 and arm64 shift it.
  static std::uint32_t shift(std::uint32_t r, std::uint32_t bits) {
    return static_cast<std::uint32_t>(static_cast<std::int32_t>(r) >> (bits & 31));
  }

  const CrushMap& map_;
  const std::uint32_t x_;
  const std::size_t result_max_;
  const std::span<const Weight> reweights_;
  const ChooseArgs* const choose_args_;
  Knobs knobs_;
  std::vector<ItemId> working_;
  std::vector<ItemId> result_;
  std::vector<std::uint32_t> permutation_;
  std::uint64_t draws_ = 0;
};

}  // namespace

bool is_out(std::span<const Weight> reweights, ItemId device, std::uint32_t x) {
  if (device < 0 || static_cast<std::size_t>(device) >= reweights.size()) return true;
  const Weight weight = reweights[static_cast<std::size_t>(device)];
  if (weight >= weight_one) return false;
  return weight == 0 || (hash32(x, static_cast<std::uint32_t>(device)) & 0xffff) >= weight;
}

std::vector<ItemId> do_rule(const CrushMap& map, std::int32_t rule, std::uint32_t x, std::size_t result_max,
                            std::span<const Weight> reweights, const ChooseArgs* choose_args) {
  const Rule* found = map.rule(rule);
  if (!found) return {};
  return Mapping(map, x, std::min(result_max, limits::result_max), reweights, choose_args).run(*found);
}

}  // namespace spirula::crush
