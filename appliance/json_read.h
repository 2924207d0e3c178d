#pragma once
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <string>
#include <string_view>

/// What is missing or of another kind reads as nothing.
namespace spirula::appliance {

/// At a JSON pointer, such as "/osdmap/num_osds".
double number_at(const boost::json::value& value, std::string_view pointer);
std::string text_at(const boost::json::value& value, std::string_view pointer);
/// Of a request's body.
std::string text_in(const boost::json::object& body, std::string_view name);

}  // namespace spirula::appliance
