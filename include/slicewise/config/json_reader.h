// Reading JSON so that every mistake is named: file, JSON path, what was found, what was expected.
//
//   JsonReader root = JsonReader::Parse(document);
//   model.layers = root.Count("layers");
//   std::optional<std::string> note = root.OptionalText("note");
//   root.Finish();  // keys never read are errors, with the nearest key that would have been read
//
// Every failure throws InputError with "<file>: <json path>: <what is wrong>".
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "slicewise/config/presets.h"
#include "slicewise/units/quantity.h"

namespace slicewise {

// A cursor on one JSON object of a document. Cheap to copy; the document is shared.
class JsonReader {
 public:
  // Syntax errors carry line and column. The root must be an object.
  static JsonReader Parse(const Document& document);

  [[nodiscard]] bool Has(std::string_view key) const;
  // The named member, required. Count: an integer of at least 1 and at most 1e15. Whole: at least
  // 0.
  [[nodiscard]] std::string Text(std::string_view key);
  [[nodiscard]] std::int64_t Count(std::string_view key);
  [[nodiscard]] std::int64_t Whole(std::string_view key);
  [[nodiscard]] double Number(std::string_view key);    // finite
  [[nodiscard]] double Positive(std::string_view key);  // finite and greater than zero
  [[nodiscard]] bool Flag(std::string_view key);
  [[nodiscard]] JsonReader Object(std::string_view key);
  [[nodiscard]] std::vector<JsonReader> Objects(std::string_view key);   // an array of objects
  [[nodiscard]] std::vector<std::int64_t> Counts(std::string_view key);  // an array of Count
  [[nodiscard]] std::vector<double> Positives(std::string_view key);     // an array of Positive
  [[nodiscard]] std::vector<std::string> Texts(std::string_view key);
  // Exactly one of `allowed`.
  [[nodiscard]] std::string Choice(std::string_view key, const std::vector<std::string>& allowed);
  // Text such as "1.2 TB/s".
  [[nodiscard]] BytesPerSecond Bandwidth(std::string_view key);
  [[nodiscard]] Bytes Amount(std::string_view key);
  [[nodiscard]] FlopsPerSecond FlopsRate(std::string_view key);

  // The same, absent (or null) being allowed.
  [[nodiscard]] std::optional<std::string> OptionalText(std::string_view key);
  [[nodiscard]] std::optional<std::int64_t> OptionalCount(std::string_view key);
  [[nodiscard]] std::optional<std::int64_t> OptionalWhole(std::string_view key);
  [[nodiscard]] std::optional<double> OptionalNumber(std::string_view key);
  [[nodiscard]] std::optional<double> OptionalPositive(std::string_view key);
  [[nodiscard]] std::optional<bool> OptionalFlag(std::string_view key);

  // The keys of this object, in file order.
  [[nodiscard]] std::vector<std::string> Keys() const;
  // Marks a key as read without reading it.
  void Skip(std::string_view key);
  // Throws if this object or any object read from it has a key that nobody asked for.
  void Finish() const;

  // Throws InputError about the named member ("" for this object itself).
  [[noreturn]] void Fail(std::string_view key, const std::string& what) const;
  // "file: /json/path" for messages.
  [[nodiscard]] std::string Where(std::string_view key) const;
  [[nodiscard]] const nlohmann::ordered_json& json() const { return *value_; }

 private:
  struct Shared;
  JsonReader(std::shared_ptr<Shared> shared, const nlohmann::ordered_json* value,
             std::string pointer);
  const nlohmann::ordered_json* Find(std::string_view key);
  const nlohmann::ordered_json& Require(std::string_view key, std::string_view expected);

  std::shared_ptr<Shared> shared_;
  const nlohmann::ordered_json* value_;
  std::string pointer_;
};

}  // namespace slicewise
