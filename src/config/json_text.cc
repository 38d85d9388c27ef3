#include "json_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace slicewise {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kColumns = 100;
constexpr std::size_t kIndent = 2;

// The value on one line: {"a": 1, "b": [2, 3]}.
std::string OnOneLine(const Json& value) {
  if (!value.is_structured()) {
    return value.dump();
  }
  std::string text = value.is_object() ? "{" : "[";
  for (const auto& [key, member] : value.items()) {
    text += text.size() > 1 ? ", " : "";
    text += (value.is_object() ? Json(key).dump() + ": " : "") + OnOneLine(member);
  }
  return text + (value.is_object() ? "}" : "]");
}

bool IsFlat(const Json& value) {
  return std::none_of(value.begin(), value.end(),
                      [](const Json& member) { return member.is_structured() && !member.empty(); });
}

// Appends the value, `used` columns of whose first line are taken.
void Append(const Json& value, std::size_t depth, std::size_t used, std::string& text) {
  const std::string line = OnOneLine(value);
  const bool fits = used + line.size() + 1 <= kColumns;  // a comma may follow
  if (!value.is_structured() || value.empty() || (depth > 0 && IsFlat(value) && fits)) {
    text += line;
    return;
  }
  const std::string indent((depth + 1) * kIndent, ' ');
  text += value.is_object() ? "{" : "[";
  bool first = true;
  for (const auto& [key, member] : value.items()) {
    const std::string label = value.is_object() ? Json(key).dump() + ": " : "";
    text += (first ? "\n" : ",\n") + indent + label;
    Append(member, depth + 1, indent.size() + label.size(), text);
    first = false;
  }
  text += "\n" + std::string(depth * kIndent, ' ') + (value.is_object() ? "}" : "]");
}

// The end of the string that begins at `at`.
std::size_t EndOfString(std::string_view text, std::size_t at) {
  for (++at; text[at] != '"'; ++at) {
    at += text[at] == '\\' ? 1 : 0;
  }
  return at;
}

}  // namespace

std::string JsonText(const Json& document) {
  std::string text;
  Append(document, 0, 0, text);
  return text + "\n";
}

std::size_t LineOfElement(const std::string& text, const std::string& key, std::size_t index) {
  const std::string quoted = Json(key).dump();
  std::size_t line = 1;
  int depth = 0;
  bool within = false;  // the array of that key
  std::size_t element = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '"') {
      const std::size_t end = EndOfString(text, at);
      within = within || (depth == 1 && text.compare(at, end - at + 1, quoted) == 0);
      at = end;
    } else if (c == '\n') {
      ++line;
    } else if (c == '{' || c == '[') {
      if (within && depth == 2 && element++ == index) {
        return line;
      }
      ++depth;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return 1;
}

}  // namespace slicewise
