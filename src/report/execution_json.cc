#include <nlohmann/json.hpp>

#include "slicewise/report/plan_report.h"
#include "slicewise/search/execution_fields.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

template <class Fields>
Json ObjectOf(const Fields& fields);

Json ValueOf(const std::string& text) { return text; }
Json ValueOf(std::int64_t number) { return number; }
Json ValueOf(double number) { return number; }
Json ValueOf(bool flag) { return flag; }

template <class Fields>
Json ValueOf(const Fields& fields) {
  return ObjectOf(fields);
}

template <class Value>
Json ValueOf(const std::optional<Value>& value) {
  return value ? ValueOf(*value) : Json();
}

template <class Value>
Json ValueOf(const std::vector<Value>& values) {
  Json array = Json::array();
  for (const Value& value : values) {
    array.push_back(ValueOf(value));
  }
  return array;
}

template <class Fields>
Json ObjectOf(const Fields& fields) {
  Json object = Json::object();
  VisitFields(fields, [&](const char* name, const auto& value) { object[name] = ValueOf(value); });
  return object;
}

}  // namespace

Json ExecutionJson(const Execution& execution) { return ObjectOf(execution); }

}  // namespace slicewise
