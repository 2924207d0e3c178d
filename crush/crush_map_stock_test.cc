// Holds our codec and mapper against the stock crushtool: random maps in its text language go through `crushtool -c`,
// must decode and re-encode to the same bytes here, and must map every input as `crushtool --test` does.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "crush/crush_map.h"
#include "crush/mapper.h"
#include "crush/stock_tool_for_tests.h"

namespace spirula::crush {
namespace {

using testing::StockTool;

/// A random map as text. Hosts of devices, racks of hosts, a root of racks (or of hosts), with every bucket kind.
class MapText {
 public:
  explicit MapText(std::uint64_t seed) : random_(seed) { build(); }

  const std::string& text() const { return text_; }
  int devices() const { return devices_; }
  int rules() const { return rules_; }

 private:
  struct Node {
    std::string name;
    int id;
    std::uint64_t millis;  // weight in thousandths, which the text language carries exactly enough
  };

  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool chance(int percent) { return below(100) < static_cast<std::uint64_t>(percent); }
  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    text_ += fmt::format(format, std::forward<Args>(args)...) + "\n";
  }

  void build() {
    const bool modern = chance(60);
    line("tunable choose_local_tries {}", modern ? 0 : below(4));
    line("tunable choose_local_fallback_tries {}", modern ? 0 : below(7));
    line("tunable choose_total_tries {}", chance(50) ? 50 : below(30));
    line("tunable chooseleaf_descend_once {}", modern || chance(50) ? 1 : 0);
    line("tunable chooseleaf_vary_r {}", modern ? 1 : below(5));
    line("tunable chooseleaf_stable {}", modern ? 1 : below(2));
    line("tunable straw_calc_version {}", below(2));
    line("tunable allowed_bucket_algs 62");
    devices_ = static_cast<int>(1 + below(40));
    classes_ = static_cast<int>(below(3));
    for (int i = 0; i < devices_; ++i)
      line("device {} osd.{}{}", i, i,
           classes_ && chance(80) ? fmt::format(" class {}", class_name(below(static_cast<std::uint64_t>(classes_))))
                                  : "");
    line("type 0 osd\ntype 1 host\ntype 3 rack\ntype 11 root");

    std::vector<Node> leaves, hosts, racks;
    const bool weightless = chance(20);
    for (int i = 0; i < devices_; ++i)
      leaves.push_back({fmt::format("osd.{}", i), i, weightless && chance(30) ? 0 : chance(30) ? 1000 : below(9000)});
    hosts = group(leaves, "host", 1 + below(8));
    racks = chance(70) ? group(hosts, "rack", 1 + below(5)) : hosts;
    const bool with_racks = racks.front().name.starts_with("rack");
    if (chance(20)) racks.push_back(leaves[below(leaves.size())]);  // a device beside buckets
    if (chance(20)) racks.push_back(empty("host"));
    root_ = bucket("root", "default", racks).name;
    rules_ = 4;
    for (int i = 0; i < rules_; ++i) rule(i, with_racks);
    if (chance(40)) choose_args();
  }

  std::string class_name(std::uint64_t i) { return i == 0 ? "hdd" : "ssd"; }

  std::vector<Node> group(const std::vector<Node>& items, const std::string& type, std::uint64_t size) {
    std::vector<Node> result;
    for (std::size_t i = 0; i < items.size(); i += size) {
      const std::vector<Node> members(items.begin() + static_cast<std::ptrdiff_t>(i),
                                      items.begin() + static_cast<std::ptrdiff_t>(std::min(i + size, items.size())));
      result.push_back(bucket(type, fmt::format("{}{}", type, i), members));
    }
    return result;
  }

  Node empty(const std::string& type) { return bucket(type, type + "-empty", {}); }

  Node bucket(const std::string& type, const std::string& name, std::vector<Node> items) {
    static constexpr const char* algorithms[] = {"straw2", "straw2", "straw2", "uniform", "list", "straw", "tree"};
    std::string algorithm = algorithms[below(std::size(algorithms))];
    // The tool cannot make class shadows of uniform buckets, aborts on weightless ones, and makes class shadows of tree
    // buckets with uninitialised node weights.
    if (algorithm == "tree" && classes_) algorithm = "straw";
    if (algorithm == "uniform" && (classes_ || items.empty() || items.front().millis == 0)) algorithm = "list";
    if (algorithm == "uniform")
      for (auto& item : items) item.millis = items.front().millis;
    Node node{name, next_id_--, 0};
    line("{} {} {{\n id {}\n alg {}\n hash 0", type, name, node.id, algorithm);
    for (const auto& item : items) {
      line(" item {} weight {}.{:03}", item.name, item.millis / 1000, item.millis % 1000);
      node.millis += item.millis;
    }
    line("}}");
    if (algorithm == "straw2") straw2_[node.id] = items;
    return node;
  }

  void rule(int id, bool with_racks) {
    line("rule rule{} {{\n id {}\n type {}\n min_size 1\n max_size 20", id, id, chance(70) ? "replicated" : "erasure");
    const std::string mode = chance(60) ? "firstn" : "indep";
    if (chance(30)) line(" step set_choose_tries {}", 1 + below(100));
    if (chance(30)) line(" step set_chooseleaf_tries {}", 1 + below(10));
    if (chance(10)) line(" step set_choose_local_tries {}", below(4));
    if (chance(10)) line(" step set_choose_local_fallback_tries {}", below(6));
    if (chance(10)) line(" step set_chooseleaf_vary_r {}", below(5));
    if (chance(10)) line(" step set_chooseleaf_stable {}", below(2));
    // The tool prints a class only for devices that have one; both classes may be missing in a small map.
    const bool by_class = text_.contains(" class hdd") && chance(40);
    line(" step take {}{}", root_, by_class ? " class hdd" : "");
    switch (below(with_racks ? 5 : 3)) {
      case 0:
        line(" step choose {} 0 type osd", mode);
        break;
      case 1:
      case 2:
        line(" step chooseleaf {} {} type host", mode, chance(80) ? "0" : std::to_string(1 + below(4)));
        break;
      case 3:
        line(" step choose {} {} type rack", mode, below(4));
        line(" step chooseleaf {} {} type host", mode, 1 + below(3));
        break;
      case 4:
        line(" step choose {} {} type rack", mode, 1 + below(3));
        line(" step choose {} {} type host", mode, chance(50) ? "-1" : "1");
        line(" step choose {} {} type osd", mode, 1 + below(2));
        break;
    }
    line(" step emit");
    if (chance(20)) line(" step take {}\n step choose {} 1 type osd\n step emit", root_, mode);
    line("}}");
  }

  void choose_args() {
    line("choose_args 0 {{");
    for (const auto& [id, items] : straw2_) {
      if (items.empty() || chance(40)) continue;
      line(" {{\n  bucket_id {}", id);
      const bool sets = chance(80);
      if (sets) {
        line("  weight_set [");
        for (std::uint64_t set = 1 + below(3); set > 0; --set) {
          text_ += "   [";
          for (std::size_t i = 0; i < items.size(); ++i) text_ += fmt::format(" {}.{:03}", below(5), below(1000));
          line(" ]");
        }
        line("  ]");
      }
      if (!sets || chance(30)) {
        text_ += "  ids [";
        for (std::size_t i = 0; i < items.size(); ++i)
          text_ += fmt::format(" {}", -1000 - static_cast<int>(below(1000)));
        line(" ]");
      }
      line(" }}");
    }
    line("}}");
  }

  std::mt19937_64 random_;
  std::string text_;
  std::string root_;
  int devices_ = 0, classes_ = 0, rules_ = 0;
  int next_id_ = -1;
  std::map<int, std::vector<Node>> straw2_;
};

/// Maps `inputs` inputs through each rule of each of `maps` random maps, and counts the cases.
std::size_t compare_with_stock(std::uint64_t first_seed, int maps, int inputs) {
  StockTool tool;
  std::size_t cases = 0;
  for (std::uint64_t seed = first_seed; seed < first_seed + static_cast<std::uint64_t>(maps); ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    const MapText source(seed);
    const Buffer bytes = tool.compile(source.text());
    EXPECT_FALSE(bytes.empty()) << source.text();
    const auto map = CrushMap::decode_map(bytes);
    EXPECT_TRUE(map.has_value());
    if (bytes.empty() || !map) return cases;
    EXPECT_EQ(to_hex(encode(*map)), to_hex(bytes));
    EXPECT_EQ(map->verify(), std::nullopt);

    std::mt19937_64 random(seed);
    for (int rule = 0; rule < source.rules(); ++rule) {
      const auto width = 1 + random() % 6;
      std::vector<Weight> reweights(static_cast<std::size_t>(source.devices()), 0);
      for (const auto device :
           map->roots().empty() ? std::set<ItemId>{} : map->devices_under(*map->item_by_name("default")))
        reweights[static_cast<std::size_t>(device)] = weight_one;
      std::string arguments = fmt::format("--min-x 0 --max-x {} --rule {} --num-rep {}", inputs - 1, rule, width);
      for (auto changes = random() % 5; changes > 0; --changes) {
        const auto device = random() % reweights.size();
        const auto quarters = random() % 4;
        reweights[device] = static_cast<Weight>(quarters * weight_one / 4);
        arguments += fmt::format(" --weight {} {}", device, static_cast<double>(quarters) / 4);
      }
      const auto expected = tool.mappings(bytes, arguments);
      const bool all_out = std::ranges::all_of(reweights, [](Weight weight) { return weight == 0; });
      EXPECT_EQ(expected.size(), all_out ? 0u : static_cast<std::size_t>(inputs)) << arguments;  // the tool gives up
      for (const auto& [x, items] : expected) {
        ++cases;
        const auto ours = do_rule(*map, rule, x, width, reweights, map->choose_args_for(0));
        EXPECT_EQ(ours, items) << "x " << x << " " << arguments << "\n" << source.text();
        if (ours != items) return cases;
      }
    }
  }
  return cases;
}

TEST(CrushMapStock, random_maps_encode_and_map_as_the_stock_tool_does) {
  EXPECT_GE(compare_with_stock(1, 60, 64), 10'000u);
}

}  // namespace
}  // namespace spirula::crush
