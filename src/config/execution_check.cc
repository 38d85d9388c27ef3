#include "execution_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "slicewise/search/execution_fields.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

// Byte and FLOP counts are sums of products of whole numbers: equal but for the last digits.
bool Near(double a, double b) { return std::abs(a - b) <= 1e-9 * std::max(1.0, std::abs(b)); }

std::string Quoted(const std::vector<std::string>& names) {
  return names.empty() ? "none" : fmt::format("'{}'", fmt::join(names, "', '"));
}

class Matcher {
 public:
  explicit Matcher(JsonReader reader) : reader_(std::move(reader)) {}

  void operator()(const char* name, const std::string& expected) {
    if (const std::string found = reader_.Text(name); found != expected) {
      reader_.Fail(name, fmt::format("found '{}', expected '{}'", found, expected));
    }
  }
  void operator()(const char* name, std::int64_t expected) {
    if (const std::int64_t found = reader_.Whole(name); found != expected) {
      reader_.Fail(name, fmt::format("found {}, expected {}", found, expected));
    }
  }
  void operator()(const char* name, double expected) {
    if (const double found = reader_.Number(name); !Near(found, expected)) {
      reader_.Fail(name, fmt::format("found {}, expected {}", found, expected));
    }
  }
  void operator()(const char* name, bool expected) {
    if (reader_.Flag(name) != expected) {
      reader_.Fail(name, fmt::format("found {}, expected {}", !expected, expected));
    }
  }
  void operator()(const char* name, const std::vector<std::string>& expected) {
    if (const std::vector<std::string> found = reader_.Texts(name); found != expected) {
      reader_.Fail(name, fmt::format("found {}, expected {}", Quoted(found), Quoted(expected)));
    }
  }
  void operator()(const char* name, const std::vector<std::int64_t>& expected) {
    const nlohmann::ordered_json& found = Member(name);
    if (found != nlohmann::ordered_json(expected)) {
      reader_.Fail(name,
                   fmt::format("found {}, expected [{}]", found.dump(), fmt::join(expected, ",")));
    }
  }
  template <class Value>
  void operator()(const char* name, const std::optional<Value>& expected) {
    const bool is_null = Member(name).is_null();
    if (is_null && expected) {
      reader_.Fail(name, "found null, expected a value");
    }
    if (!is_null && !expected) {
      reader_.Fail(name, "found a value, expected null");
    }
    if (expected) {
      (*this)(name, *expected);
    }
  }
  template <class Fields>
  void operator()(const char* name, const Fields& expected) {
    VisitFields(expected, Matcher(reader_.Object(name)));
  }
  template <class Fields>
  void operator()(const char* name, const std::vector<Fields>& expected) {
    const std::vector<JsonReader> found = reader_.Objects(name);
    RequireSameNames(name, found, expected);
    for (std::size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
      RequireAxesOnce(found[i], expected[i]);
      VisitFields(expected[i], Matcher(found[i]));
    }
    if (found.size() != expected.size()) {
      reader_.Fail(name,
                   fmt::format("found {} of them, expected {}", found.size(), expected.size()));
    }
  }

 private:
  // The member as it is; absent is an error.
  const nlohmann::ordered_json& Member(const char* name) {
    if (!reader_.json().contains(name)) {
      reader_.Fail("", fmt::format("'{}' is missing", name));
    }
    reader_.Skip(name);
    return reader_.json().at(name);
  }

  // Says which tensor is missing or not of the program, rather than that all after it differ.
  void RequireSameNames(const char* name, const std::vector<JsonReader>& found,
                        const std::vector<ExecutionTensor>& expected) {
    std::vector<std::string> names;
    for (JsonReader tensor : found) {
      names.push_back(tensor.Text("name"));
    }
    std::vector<std::string> wanted;
    for (const ExecutionTensor& tensor : expected) {
      wanted.push_back(tensor.name);
      if (std::find(names.begin(), names.end(), tensor.name) == names.end()) {
        reader_.Fail(name, fmt::format("tensor '{}' is missing", tensor.name));
      }
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (std::find(wanted.begin(), wanted.end(), names[i]) == wanted.end()) {
        found[i].Fail("name", fmt::format("'{}' is not a tensor of the layout{}", names[i],
                                          DidYouMean(names[i], wanted)));
      }
    }
  }
  template <class Fields>
  static void RequireSameNames(const char* /*name*/, const std::vector<JsonReader>& /*found*/,
                               const std::vector<Fields>& /*expected*/) {}

  static void RequireAxesOnce(JsonReader tensor, const ExecutionTensor& /*expected*/) {
    std::set<std::string> used;
    for (JsonReader dim : tensor.Objects("dims")) {
      for (const std::string& axis : dim.Texts("axes")) {
        if (!used.insert(axis).second) {
          dim.Fail("axes", fmt::format("axis '{}' is used twice in '{}', expected at most once",
                                       axis, tensor.Text("name")));
        }
      }
    }
  }
  template <class Fields>
  static void RequireAxesOnce(const JsonReader& /*tensor*/, const Fields& /*expected*/) {}

  JsonReader reader_;
};

}  // namespace

void CheckExecution(JsonReader reader, const Execution& expected) {
  VisitFields(expected, Matcher(reader));
  reader.Finish();
}

}  // namespace slicewise
