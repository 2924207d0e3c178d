// Holds the edits of the hierarchy against the stock crushtool: random sequences of edits, done here and by the tool,
// must give the same bytes after every step, and be refused alike.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "crush/device_classes.h"
#include "crush/dump.h"
#include "crush/edit.h"
#include "crush/rules.h"
#include "crush/stock_tool_for_tests.h"
#include "crush/tree.h"

namespace spirula::crush {
namespace {

using testing::StockTool;

/// A random edit: what the tool is told, and the same by our functions. A failure of ours gives false.
class Edit {
 public:
  explicit Edit(std::uint64_t seed) : random_(seed) {}

  std::string choose(CrushMap& map, bool& done) {
    const int device = static_cast<int>(below(12));
    const std::string name = fmt::format("osd.{}", device);
    // Weights with few binary digits, so that the tool's float arithmetic is exact.
    const double weight = static_cast<double>(below(64)) / 16;
    switch (below(11)) {
      case 0:
      case 1: {
        const auto location = choose_location();
        done = insert_item(map, device, *to_weight(weight), name, location).has_value();
        return fmt::format("--add-item {} {} {} {}", device, weight, name, words(location));
      }
      case 2: {
        const auto location = choose_location();
        done = update_item(map, device, *to_weight(weight), name, location).has_value();
        return fmt::format("--update-item {} {} {} {}", device, weight, name, words(location));
      }
      case 3: {
        const std::string item = chance(70) ? name : choose_bucket();
        const auto id = map.item_by_name(item);
        done = id && remove_item(map, *id).has_value();
        return fmt::format("--remove-item {}", item);
      }
      case 4: {
        const std::string item = name;
        const auto id = map.item_by_name(item);
        done = id && reweight_item(map, *id, *to_weight(weight)).has_value();
        return fmt::format("--reweight-item {} {}", item, weight);
      }
      case 5: {
        const auto type = below(2);
        const std::string bucket = fmt::format("{}{}", type ? "rack" : "host", below(4));
        const Location location = type ? Location{{"root", "default"}} : Location{{"rack", choose_rack()}};
        done = add_bucket(map, bucket, type ? "rack" : "host", location).has_value();
        return fmt::format("--add-bucket {} {} {}", bucket, type ? "rack" : "host", words(location));
      }
      case 6: {
        const std::string bucket = fmt::format("host{}", below(4));
        const Location location{{"rack", choose_rack()}, {"root", "default"}};
        const auto id = map.item_by_name(bucket);
        if (!id || is_at(map, *id, location)) return {};
        done = move_item(map, *id, location).has_value();
        return fmt::format("--move {} {}", bucket, words(location));
      }
      case 7: {
        const std::string rule = fmt::format("rule{}", below(4));
        const std::string domain = chance(50) ? "host" : chance(50) ? "rack" : "osd";
        const std::string device_class = chance(50) ? "hdd" : "";
        done = create_rule(map, {.name = rule, .failure_domain = domain, .device_class = device_class}).has_value();
        return fmt::format("--create-replicated-rule {} default {}{}", rule, domain,
                           device_class.empty() ? "" : " --device-class " + device_class);
      }
      case 8: {
        const std::string rule = fmt::format("rule{}", below(4));
        const auto id = map.rule_by_name(rule);
        done = id && remove_rule(map, *id).has_value();
        return fmt::format("--remove-rule {}", rule);
      }
      case 9: {
        // The tool sets classes for whole subtrees only, whatever they had before.
        const std::string bucket = choose_bucket(), device_class = chance(50) ? "hdd" : "ssd";
        const auto id = map.item_by_name(bucket);
        if (!id || map.devices_under(*id).empty()) return {};
        done = true;
        for (const auto item : map.devices_under(*id)) {
          done = done && remove_device_class_quietly(map, item);
        }
        for (const auto item : map.devices_under(*id)) done = done && set_device_class(map, item, device_class);
        // It rebuilds before it sets, and writes nothing if it only sets.
        constexpr const char* rebuild = "--rebuild-class-roots";
        return fmt::format("--set-subtree-class {} {} {};{}", bucket, device_class, rebuild, rebuild);
      }
      default: {
        const std::string rule = fmt::format("rule{}", below(4));
        const bool indep = chance(50);
        done = create_rule(map, {.name = rule, .failure_domain = "host", .indep = indep}).has_value();
        return fmt::format("--create-simple-rule {} default host {}", rule, indep ? "indep" : "firstn");
      }
    }
  }

 private:
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool chance(int percent) { return below(100) < static_cast<std::uint64_t>(percent); }
  std::string choose_rack() { return fmt::format("rack{}", below(3)); }
  std::string choose_bucket() {
    return chance(20) ? "default" : chance(40) ? choose_rack() : fmt::format("host{}", below(4));
  }
  Location choose_location() {
    Location location{{"host", fmt::format("host{}", below(4))}};
    if (chance(60)) location["rack"] = choose_rack();
    if (chance(90)) location["root"] = "default";
    return location;
  }
  static std::string words(const Location& location) {
    std::string text;
    for (const auto& [type, name] : location) text += fmt::format("--loc {} {} ", type, name);
    return text;
  }
  /// Without the rebuild that would forget a class nobody has at the moment.
  static bool remove_device_class_quietly(CrushMap& map, ItemId device) {
    map.item_classes.erase(device);
    return true;
  }

  std::mt19937_64 random_;
};

void compare_edits(std::uint64_t seed, int steps) {
  SCOPED_TRACE(fmt::format("seed {}", seed));
  StockTool tool;
  Edit edit(seed);
  CrushMap map = CrushMap::make_default();
  std::string history;
  for (int step = 0; step < steps; ++step) {
    const Buffer before = encode(map);
    bool done = false;
    CrushMap next = map;
    const std::string arguments = edit.choose(next, done);
    if (arguments.empty()) continue;
    history += arguments + "\n";
    Buffer stock = tool.edit(before, arguments.substr(0, arguments.find(';')));
    if (const auto second = arguments.find(';'); second != arguments.npos)
      stock = tool.edit(stock, arguments.substr(second + 1));
    ASSERT_EQ(done, !stock.empty()) << history << tool.decompile(before);
    if (!done) continue;
    ASSERT_EQ(next.verify(), std::nullopt) << history;
    ASSERT_EQ(to_hex(encode(next)), to_hex(stock)) << history << "before:\n"
                                                   << tool.decompile(before) << "ours:\n"
                                                   << tool.decompile(encode(next)) << "stock:\n"
                                                   << tool.decompile(stock);
    map = std::move(next);
  }
  const auto shown = tool.show(encode(map), "--dump --format json 2>/dev/null");
  boost::system::error_code error;
  const auto expected = boost::json::parse(shown, error);
  ASSERT_FALSE(error) << shown;
  EXPECT_EQ(boost::json::serialize(dump(map)), boost::json::serialize(expected));

  // The first column of `--tree`, below its head line.
  std::istringstream lines(tool.show(encode(map), "--tree"));
  std::vector<ItemId> stock_order, order;
  std::string line;
  for (std::getline(lines, line); std::getline(lines, line);)
    if (ItemId id; std::istringstream(line) >> id) stock_order.push_back(id);
  for (const auto& node : walk_tree(map, true)) order.push_back(node.id);
  EXPECT_EQ(order, stock_order);
}

TEST(EditStock, random_edits_give_the_bytes_of_the_stock_tool) {
  for (std::uint64_t seed = 1; seed <= 15; ++seed) {
    compare_edits(seed, 40);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace spirula::crush
