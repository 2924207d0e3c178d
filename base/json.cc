#include "base/json.h"

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cmath>

namespace spirula {
namespace {

class Printer {
 public:
  explicit Printer(bool pretty) : pretty_(pretty) {}
  std::string text;

  void print(const Json& value, int depth) {
    if (auto* object = value.if_object()) {
      bool first = true;
      text += '{';
      for (const auto& member : *object) {
        separate(first, depth + 1);
        text += boost::json::serialize(member.key());
        text += pretty_ ? ": " : ":";
        print(member.value(), depth + 1);
      }
      close(first, depth, '}');
    } else if (auto* array = value.if_array()) {
      bool first = true;
      text += '[';
      for (const Json& element : *array) {
        separate(first, depth + 1);
        print(element, depth + 1);
      }
      close(first, depth, ']');
    } else if (auto* number = value.if_double()) {
      text += std::isfinite(*number) ? fmt::format("{}", *number) : "0";
      if (text.ends_with(".0")) text.resize(text.size() - 2);
    } else {
      text += boost::json::serialize(value);
    }
  }

 private:
  void separate(bool& first, int depth) {
    if (!first) text += ',';
    first = false;
    line(depth);
  }
  void close(bool empty, int depth, char bracket) {
    if (!empty) line(depth);
    text += bracket;
  }
  void line(int depth) {
    if (pretty_) text += '\n' + std::string(static_cast<std::size_t>(depth) * 4, ' ');
  }
  bool pretty_;
};

}  // namespace

std::string print_json(const Json& value, JsonStyle style) {
  Printer printer(style == JsonStyle::pretty);
  printer.print(value, 0);
  return std::move(printer.text);
}

std::string shape_json(std::string text, std::string_view format) {
  boost::system::error_code other;
  Json value = boost::json::parse(text, other);
  if (other || !value.is_structured()) return text;
  return print_json(value, format == "json" ? JsonStyle::compact : JsonStyle::pretty) + '\n';
}

}  // namespace spirula
