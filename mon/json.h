#pragma once
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>

/// JSON in the two shapes of Ceph's formatter; objects keep the order their members were added in.
namespace spirula::mon {

using Json = boost::json::value;
using JsonArray = boost::json::array;
using JsonObject = boost::json::object;

enum class JsonStyle { compact, pretty };
/// Numbers with a fraction are printed so that they read back the same.
std::string print_json(const Json& value, JsonStyle style);

}  // namespace spirula::mon
