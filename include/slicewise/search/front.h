// Pareto fronts.
#pragma once

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

namespace slicewise {

// Keeps the items that none beats in both of two figures, less being better, in order of the first:
// `figures(item)` gives them as a tuple. Of equals the earliest stays.
template <class Item, class Figures>
void KeepFront(std::vector<Item>& items, const Figures& figures) {
  std::stable_sort(items.begin(), items.end(),
                   [&](const Item& a, const Item& b) { return figures(a) < figures(b); });
  std::vector<Item> front;
  for (Item& item : items) {
    if (front.empty() || std::get<1>(figures(item)) < std::get<1>(figures(front.back()))) {
      front.push_back(std::move(item));
    }
  }
  items = std::move(front);
}

}  // namespace slicewise
