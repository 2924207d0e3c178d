#pragma once
#include <compare>
#include <cstddef>
#include <functional>

namespace spirula {

/// A number with a meaning: an Epoch cannot be passed as a Version. `Tag` only tells the types apart.
template <class Tag, class Number>
struct Strong {
  using number_type = Number;
  Number value{};

  constexpr Strong() = default;
  constexpr explicit Strong(Number v) : value(v) {}
  friend constexpr auto operator<=>(const Strong&, const Strong&) = default;
  constexpr Strong& operator++() {
    ++value;
    return *this;
  }
  constexpr Strong next() const { return Strong(value + 1); }
  constexpr Strong previous() const { return Strong(value - 1); }
};

template <class T>
concept StrongNumber = requires(T t) {
  typename T::number_type;
  requires std::is_same_v<decltype(t.value), typename T::number_type>;
};

}  // namespace spirula

template <spirula::StrongNumber T>
struct std::hash<T> {
  std::size_t operator()(const T& strong) const noexcept { return std::hash<typename T::number_type>{}(strong.value); }
};
