#include "appliance/space.h"

#include "appliance/json_read.h"
#include "appliance/render.h"

namespace spirula::appliance {
namespace json = boost::json;
Space space_of(const json::value& df, unsigned copies) {
  const double raw_used = number_at(df, "/stats/total_used_raw_bytes"), raw_total = number_at(df, "/stats/total_bytes");
  Space space;
  double left = 0;
  boost::system::error_code error;
  const json::value* pools = df.find_pointer("/pools", error);
  if (pools && pools->is_array())
    for (const json::value& pool : pools->get_array()) {
      space.used += number_at(pool, "/stats/stored");
      if (text_at(pool, "/name") == data_pool) left = number_at(pool, "/stats/max_avail");
    }
  // Nothing is left, too, while the disks have not said yet how full they are.
  const bool known = left > 0 || raw_used > raw_total / 2;
  space.total = known ? space.used + left : raw_total / copies;
  return space;
}

}  // namespace spirula::appliance
