#include "sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "slicewise/units/text.h"

namespace slicewise {
namespace {

constexpr std::string_view kSources = "sources";
constexpr std::string_view kEverything = "*";

bool HoldsNumber(const nlohmann::ordered_json& value) {
  return value.is_number() ||
         (value.is_structured() && std::any_of(value.begin(), value.end(), HoldsNumber));
}

// "a, b" -> {"a", "b"}.
std::vector<std::string> SplitNames(std::string_view list) {
  std::vector<std::string> names;
  while (true) {
    const std::size_t comma = list.find(',');
    std::string_view name = list.substr(0, comma);
    name.remove_prefix(std::min(name.size(), name.find_first_not_of(' ')));
    name = name.substr(0, name.find_last_not_of(' ') + 1);
    names.emplace_back(name);
    if (comma == std::string_view::npos) {
      return names;
    }
    list.remove_prefix(comma + 1);
  }
}

// Every name in the keys of /sources.
std::set<std::string> NamesWithSource(JsonReader& root, const std::vector<std::string>& members) {
  std::set<std::string> named;
  JsonReader sources = root.Object(kSources);
  for (const std::string& list : sources.Keys()) {
    if (sources.Text(list).empty()) {
      sources.Fail(list, "found '', expected a citation");
    }
    for (const std::string& name : SplitNames(list)) {
      if (name != kEverything &&
          (name == kSources || std::find(members.begin(), members.end(), name) == members.end())) {
        sources.Fail(list, fmt::format("found a source for '{}', which this file does not have{}",
                                       name, DidYouMean(name, members)));
      }
      named.insert(name);
    }
  }
  return named;
}

}  // namespace

void CheckSources(JsonReader& root, const std::vector<std::string>& quantities) {
  const std::vector<std::string> members = root.Keys();
  const std::set<std::string> named = NamesWithSource(root, members);
  for (const std::string& member : members) {
    const bool quantity =
        std::find(quantities.begin(), quantities.end(), member) != quantities.end();
    const bool numeric = member != kSources && (quantity || HoldsNumber(root.json().at(member)));
    if (numeric && !named.contains(member) && !named.contains(std::string(kEverything))) {
      root.Fail(member,
                fmt::format("found no source, expected '{}' among the keys of /sources", member));
    }
  }
}

}  // namespace slicewise
