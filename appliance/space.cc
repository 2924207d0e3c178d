#include "appliance/space.h"

#include <string_view>

#include "appliance/render.h"

namespace spirula::appliance {
namespace json = boost::json;
namespace {

double number_at(const json::value& value, std::string_view pointer) {
  boost::system::error_code error;
  const json::value* found = value.find_pointer(pointer, error);
  return found && found->is_number() ? found->to_number<double>() : 0;
}

}  // namespace

Space space_of(const json::value& df, unsigned copies) {
  const double raw_used = number_at(df, "/stats/total_used_raw_bytes"), raw_total = number_at(df, "/stats/total_bytes");
  Space space;
  double left = 0;
  boost::system::error_code error;
  const json::value* pools = df.find_pointer("/pools", error);
  if (pools && pools->is_array())
    for (const json::value& pool : pools->get_array()) {
      space.used += number_at(pool, "/stats/stored");
      const json::value* name = pool.find_pointer("/name", error);
      if (name && *name == data_pool) left = number_at(pool, "/stats/max_avail");
    }
  // Nothing is left, too, while the disks have not said yet how full they are.
  const bool known = left > 0 || raw_used > raw_total / 2;
  space.total = known ? space.used + left : raw_total / copies;
  return space;
}

}  // namespace spirula::appliance
