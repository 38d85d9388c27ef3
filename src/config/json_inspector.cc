#include "json_inspector.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "slicewise/units/input_error.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

// "line 3, column 7" of the byte at which the parser stopped, counted from 1.
std::string LineAndColumn(std::string_view text, std::size_t bytes_read) {
  const std::string_view before = text.substr(0, bytes_read > 0 ? bytes_read - 1 : 0);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t newline = before.rfind('\n');
  const std::size_t column =
      newline == std::string_view::npos ? before.size() : before.size() - newline - 1;
  return fmt::format("line {}, column {}", line, column + 1);
}

// A handler for nlohmann's event interface, which fixes the names and types of its functions.
class Inspector {
 public:
  explicit Inspector(const Document& document) : document_(document) {}

  bool null() { return Value(); }
  bool boolean(bool) { return Value(); }
  bool number_integer(Json::number_integer_t) { return Value(); }
  bool number_unsigned(Json::number_unsigned_t) { return Value(); }
  bool number_float(Json::number_float_t, const std::string& text) {
    numbers_[Pointer()] = text;
    return Value();
  }
  bool string(const std::string& text) {
    if (!levels_.empty() && levels_.back().key == "id") {
      levels_.back().id = text;
    }
    return Value();
  }
  bool binary(const Json::binary_t&) { return Value(); }
  bool start_object(std::size_t) { return Open(false); }
  bool end_object() { return Close(); }
  bool start_array(std::size_t) { return Open(true); }
  bool end_array() { return Close(); }
  bool key(const std::string& key) {
    levels_.back().key = key;
    if (!levels_.back().keys.insert(key).second) {
      throw InputError(fmt::format("{}: {}: this key appears twice", document_.source, Pointer()));
    }
    return true;
  }
  bool parse_error(std::size_t position, const std::string& token, const Json::exception& error) {
    std::string_view what = error.what();
    // "[json.exception...] parse error at line 1, column 2: <the rest>"; 406 is a number's
    // overflow.
    what.remove_prefix(std::min(what.size(), what.find(": ") + 2));
    const std::string overflow = fmt::format("the number {} is too large", token);
    // Among many like objects, line and column alone are hard to read: the key and the id help.
    std::string place;
    if (!levels_.empty() && !levels_.back().id.empty()) {
      place = fmt::format(", at {} of '{}'", Pointer(), levels_.back().id);
    }
    throw InputError(fmt::format("{}: {}{}: {}", document_.source,
                                 LineAndColumn(document_.text, position), place,
                                 error.id == 406 ? overflow : what));
  }

  NumberTexts TakeNumbers() { return std::move(numbers_); }

 private:
  struct Level {
    bool array = false;
    std::size_t index = 0;
    std::string key;
    std::string id;  // the value of its key "id"
    std::set<std::string> keys;
  };

  bool Open(bool array) {
    levels_.push_back({.array = array, .index = 0, .key = {}, .id = {}, .keys = {}});
    return true;
  }
  bool Close() {
    levels_.pop_back();
    return Value();
  }
  // A value has ended.
  bool Value() {
    if (!levels_.empty()) {
      ++levels_.back().index;
    }
    return true;
  }
  [[nodiscard]] std::string Pointer() const {
    std::string pointer;
    for (const Level& level : levels_) {
      pointer += level.array ? fmt::format("/{}", level.index) : PointerStep(level.key);
    }
    return pointer;
  }

  const Document& document_;
  std::vector<Level> levels_;
  NumberTexts numbers_;
};

}  // namespace

std::string PointerStep(std::string_view key) {
  std::string step = "/";
  for (char c : key) {
    if (c == '~') {
      step += "~0";
    } else if (c == '/') {
      step += "~1";
    } else {
      step += c;
    }
  }
  return step;
}

NumberTexts InspectJson(const Document& document) {
  Inspector inspector(document);
  Json::sax_parse(document.text, &inspector);
  return inspector.TakeNumbers();
}

}  // namespace slicewise
