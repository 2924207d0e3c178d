#pragma once
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

/// JSON in the two shapes of Ceph's formatter; objects keep the order their members were added in.
namespace spirula {

using Json = boost::json::value;
using JsonArray = boost::json::array;
using JsonObject = boost::json::object;

enum class JsonStyle { compact, pretty };
/// Numbers with a fraction are printed so that they read back the same.
std::string print_json(const Json& value, JsonStyle style);

/// `text`, if it is a JSON object or array, as a command's argument "format" wants it: in one line for "json", else
/// indented. Other text as it is.
std::string shape_json(std::string text, std::string_view format);

}  // namespace spirula
