#include "slicewise/config/json_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "json_inspector.h"
#include "slicewise/units/input_error.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t kMaxCount = 1'000'000'000'000'000;
constexpr std::string_view kCount = "a whole number from 1 to 1e15";
constexpr std::string_view kWhole = "a whole number from 0 to 1e15";
constexpr std::string_view kBandwidth = "a rate in bytes per second above 0, such as '1.2 TB/s'";
constexpr std::string_view kAmount = "an amount of bytes above 0, such as '32 GiB'";
constexpr std::string_view kFlopsRate =
    "a rate of floating-point operations above 0, such as '275 TFLOP/s'";

std::string Quoted(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  return text.size() <= kLongest ? fmt::format("'{}'", text)
                                 : fmt::format("'{}...'", text.substr(0, kLongest));
}

// The value as an error message names it.
std::string Describe(const Json& value, const NumberTexts& numbers, const std::string& pointer) {
  if (value.is_object()) {
    return "an object";
  }
  if (value.is_array()) {
    return fmt::format("an array of {}", value.size());
  }
  if (value.is_string()) {
    return Quoted(value.get_ref<const std::string&>());
  }
  const auto text = numbers.find(pointer);
  return text == numbers.end() ? value.dump() : text->second;
}

// The value as an integer of [low, kMaxCount].
std::optional<std::int64_t> IntegerFrom(const Json& value, std::int64_t low) {
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{kMaxCount}) {
    return std::nullopt;
  }
  if (!value.is_number_integer() || value.get<std::int64_t>() < low) {
    return std::nullopt;
  }
  return value.get<std::int64_t>();
}

// What more to say where an integer was written as 1e3 or 4096.0.
std::string_view IntegerHint(const Json& value, std::string_view found) {
  const bool fractional =
      value.is_number_float() && found.find_first_of(".eE") != std::string_view::npos;
  return fractional ? ", written in digits alone" : "";
}

}  // namespace

struct JsonReader::Shared {
  std::string source;
  Json root;
  NumberTexts numbers;
  // JSON pointer of an object that was read -> the keys that it may have.
  std::map<std::string, std::vector<std::string>> known;

  void Know(const std::string& pointer, std::string_view key) {
    std::vector<std::string>& keys = known[pointer];
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      keys.emplace_back(key);
    }
  }

  [[noreturn]] void Fail(const std::string& pointer, const std::string& what) const {
    throw InputError(pointer.empty() ? fmt::format("{}: {}", source, what)
                                     : fmt::format("{}: {}: {}", source, pointer, what));
  }

  [[noreturn]] void FailFound(const std::string& pointer, const Json& value,
                              std::string_view expected) const {
    Fail(pointer,
         fmt::format("found {}, expected {}", Describe(value, numbers, pointer), expected));
  }

  std::int64_t Integer(const std::string& pointer, const Json& value, std::int64_t low) const {
    const std::optional<std::int64_t> integer = IntegerFrom(value, low);
    if (!integer) {
      const std::string found = Describe(value, numbers, pointer);
      Fail(pointer, fmt::format("found {}, expected {}{}", found, low == 1 ? kCount : kWhole,
                                IntegerHint(value, found)));
    }
    return *integer;
  }

  // Fails on the first key of the object, or of an object read from it, that nobody asked for.
  void RequireKnown(const std::string& pointer, const Json& value) const {
    const auto known_keys = known.find(pointer);
    if (value.is_array()) {
      for (std::size_t i = 0; i < value.size() && value[i].is_object(); ++i) {
        RequireKnown(fmt::format("{}/{}", pointer, i), value[i]);
      }
    }
    if (!value.is_object() || known_keys == known.end()) {
      return;
    }
    for (const auto& [key, member] : value.items()) {
      const std::vector<std::string>& keys = known_keys->second;
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
        Fail(pointer + PointerStep(key), "unknown key" + DidYouMean(key, keys));
      }
      RequireKnown(pointer + PointerStep(key), member);
    }
  }
};

JsonReader::JsonReader(std::shared_ptr<Shared> shared, const Json* value, std::string pointer)
    : shared_(std::move(shared)), value_(value), pointer_(std::move(pointer)) {
  shared_->known[pointer_];
}

JsonReader JsonReader::Parse(const Document& document) {
  auto shared = std::make_shared<Shared>();
  shared->source = document.source;
  shared->numbers = InspectJson(document);
  shared->root = Json::parse(document.text);
  const Json* root = &shared->root;
  if (!root->is_object()) {
    shared->FailFound("", *root, "an object in braces");
  }
  return {std::move(shared), root, ""};
}

bool JsonReader::Has(std::string_view key) const {
  shared_->Know(pointer_, key);
  return value_->contains(std::string(key));
}

const Json* JsonReader::Find(std::string_view key) {
  shared_->Know(pointer_, key);
  const auto member = value_->find(std::string(key));
  return member == value_->end() || member->is_null() ? nullptr : &*member;
}

const Json& JsonReader::Require(std::string_view key, std::string_view expected) {
  const Json* member = Find(key);
  if (member == nullptr) {
    Fail(key, fmt::format("{}, expected {}", Has(key) ? "found null" : "missing", expected));
  }
  return *member;
}

std::string JsonReader::Text(std::string_view key) {
  constexpr std::string_view kExpected = "text";
  const Json& value = Require(key, kExpected);
  if (!value.is_string()) {
    shared_->FailFound(pointer_ + PointerStep(key), value, kExpected);
  }
  return value.get<std::string>();
}

std::int64_t JsonReader::Count(std::string_view key) {
  return shared_->Integer(pointer_ + PointerStep(key), Require(key, kCount), 1);
}

std::int64_t JsonReader::Whole(std::string_view key) {
  return shared_->Integer(pointer_ + PointerStep(key), Require(key, kWhole), 0);
}

double JsonReader::Number(std::string_view key) {
  constexpr std::string_view kExpected = "a number";
  const Json& value = Require(key, kExpected);
  if (!value.is_number()) {
    shared_->FailFound(pointer_ + PointerStep(key), value, kExpected);
  }
  return value.get<double>();
}

double JsonReader::Positive(std::string_view key) {
  constexpr std::string_view kExpected = "a number above 0";
  const Json& value = Require(key, kExpected);
  if (!value.is_number() || value.get<double>() <= 0) {
    shared_->FailFound(pointer_ + PointerStep(key), value, kExpected);
  }
  return value.get<double>();
}

bool JsonReader::Flag(std::string_view key) {
  constexpr std::string_view kExpected = "true or false";
  const Json& value = Require(key, kExpected);
  if (!value.is_boolean()) {
    shared_->FailFound(pointer_ + PointerStep(key), value, kExpected);
  }
  return value.get<bool>();
}

JsonReader JsonReader::Object(std::string_view key) {
  constexpr std::string_view kExpected = "an object";
  const Json& value = Require(key, kExpected);
  const std::string pointer = pointer_ + PointerStep(key);
  if (!value.is_object()) {
    shared_->FailFound(pointer, value, kExpected);
  }
  return {shared_, &value, pointer};
}

std::vector<JsonReader> JsonReader::Objects(std::string_view key) {
  constexpr std::string_view kExpected = "an array of objects";
  const Json& array = Require(key, kExpected);
  const std::string pointer = pointer_ + PointerStep(key);
  if (!array.is_array()) {
    shared_->FailFound(pointer, array, kExpected);
  }
  std::vector<JsonReader> objects;
  for (std::size_t i = 0; i < array.size(); ++i) {
    const std::string element = fmt::format("{}/{}", pointer, i);
    if (!array[i].is_object()) {
      shared_->FailFound(element, array[i], "an object");
    }
    objects.push_back(JsonReader(shared_, &array[i], element));
  }
  return objects;
}

std::vector<std::int64_t> JsonReader::Counts(std::string_view key) {
  constexpr std::string_view kExpected = "an array of whole numbers";
  const Json& array = Require(key, kExpected);
  const std::string pointer = pointer_ + PointerStep(key);
  if (!array.is_array()) {
    shared_->FailFound(pointer, array, kExpected);
  }
  std::vector<std::int64_t> counts;
  for (std::size_t i = 0; i < array.size(); ++i) {
    counts.push_back(shared_->Integer(fmt::format("{}/{}", pointer, i), array[i], 1));
  }
  return counts;
}

std::vector<double> JsonReader::Positives(std::string_view key) {
  constexpr std::string_view kExpected = "an array of numbers above 0";
  const Json& array = Require(key, kExpected);
  const std::string pointer = pointer_ + PointerStep(key);
  if (!array.is_array()) {
    shared_->FailFound(pointer, array, kExpected);
  }
  std::vector<double> numbers;
  for (std::size_t i = 0; i < array.size(); ++i) {
    const Json& item = array[i];
    if (!item.is_number() || !(item.get<double>() > 0)) {
      shared_->FailFound(fmt::format("{}/{}", pointer, i), item, "a number above 0");
    }
    numbers.push_back(item.get<double>());
  }
  return numbers;
}

std::vector<std::string> JsonReader::Texts(std::string_view key) {
  constexpr std::string_view kExpected = "an array of texts";
  const Json& array = Require(key, kExpected);
  const std::string pointer = pointer_ + PointerStep(key);
  if (!array.is_array()) {
    shared_->FailFound(pointer, array, kExpected);
  }
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < array.size(); ++i) {
    if (!array[i].is_string()) {
      shared_->FailFound(fmt::format("{}/{}", pointer, i), array[i], "text");
    }
    texts.push_back(array[i].get<std::string>());
  }
  return texts;
}

std::string JsonReader::Choice(std::string_view key, const std::vector<std::string>& allowed) {
  std::string expected = "one of";
  for (const std::string& name : allowed) {
    expected += fmt::format("{} '{}'", &name == &allowed.front() ? "" : ",", name);
  }
  const Json& value = Require(key, expected);
  if (!value.is_string()) {
    shared_->FailFound(pointer_ + PointerStep(key), value, expected);
  }
  const std::string text = value.get<std::string>();
  if (std::find(allowed.begin(), allowed.end(), text) == allowed.end()) {
    shared_->FailFound(pointer_ + PointerStep(key), value, expected + DidYouMean(text, allowed));
  }
  return text;
}

namespace {

// The parsed quantity, or nothing where the text is not one or is not above 0.
template <class Parser>
auto ParseAboveZero(const Json& value, const Parser& parse)
    -> std::optional<decltype(parse(std::string_view()))> {
  if (!value.is_string()) {
    return std::nullopt;
  }
  try {
    const auto quantity = parse(value.get_ref<const std::string&>());
    return quantity.base() > 0 ? std::optional(quantity) : std::nullopt;
  } catch (const InputError&) {
    return std::nullopt;
  }
}

}  // namespace

BytesPerSecond JsonReader::Bandwidth(std::string_view key) {
  const Json& value = Require(key, kBandwidth);
  const auto rate = ParseAboveZero(value, ParseBytesPerSecond);
  if (!rate) {
    shared_->FailFound(pointer_ + PointerStep(key), value, kBandwidth);
  }
  return *rate;
}

Bytes JsonReader::Amount(std::string_view key) {
  const Json& value = Require(key, kAmount);
  const auto amount = ParseAboveZero(value, ParseBytes);
  if (!amount) {
    shared_->FailFound(pointer_ + PointerStep(key), value, kAmount);
  }
  return *amount;
}

FlopsPerSecond JsonReader::FlopsRate(std::string_view key) {
  const Json& value = Require(key, kFlopsRate);
  const auto rate = ParseAboveZero(value, ParseFlopsPerSecond);
  if (!rate) {
    shared_->FailFound(pointer_ + PointerStep(key), value, kFlopsRate);
  }
  return *rate;
}

std::optional<std::string> JsonReader::OptionalText(std::string_view key) {
  return Find(key) == nullptr ? std::nullopt : std::optional(Text(key));
}
std::optional<std::int64_t> JsonReader::OptionalCount(std::string_view key) {
  return Find(key) == nullptr ? std::nullopt : std::optional(Count(key));
}
std::optional<std::int64_t> JsonReader::OptionalWhole(std::string_view key) {
  return Find(key) == nullptr ? std::nullopt : std::optional(Whole(key));
}
std::optional<double> JsonReader::OptionalNumber(std::string_view key) {
  return Find(key) == nullptr ? std::nullopt : std::optional(Number(key));
}
std::optional<double> JsonReader::OptionalPositive(std::string_view key) {
  return Find(key) == nullptr ? std::nullopt : std::optional(Positive(key));
}
std::optional<bool> JsonReader::OptionalFlag(std::string_view key) {
  return Find(key) == nullptr ? std::nullopt : std::optional(Flag(key));
}

std::vector<std::string> JsonReader::Keys() const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : value_->items()) {
    keys.push_back(key);
  }
  return keys;
}

void JsonReader::Skip(std::string_view key) { shared_->Know(pointer_, key); }

void JsonReader::Finish() const { shared_->RequireKnown(pointer_, *value_); }

void JsonReader::Fail(std::string_view key, const std::string& what) const {
  shared_->Fail(key.empty() ? pointer_ : pointer_ + PointerStep(key), what);
}

std::string JsonReader::Where(std::string_view key) const {
  const std::string pointer = key.empty() ? pointer_ : pointer_ + PointerStep(key);
  return pointer.empty() ? shared_->source : fmt::format("{}: {}", shared_->source, pointer);
}

}  // namespace slicewise
