#include "slicewise/config/presets.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <system_error>

#include "slicewise/units/input_error.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

constexpr std::string_view kSuffix = ".json";

// "palm-540b" of "models/palm-540b.json"; empty where the file is not of that folder.
std::string_view PresetName(const EmbeddedFile& file, std::string_view folder) {
  std::string_view path = file.path;
  if (!path.starts_with(folder) || !path.substr(folder.size()).starts_with('/') ||
      !path.ends_with(kSuffix)) {
    return {};
  }
  path.remove_prefix(folder.size() + 1);
  path.remove_suffix(kSuffix.size());
  return path;
}

bool LooksLikePath(std::string_view name) {
  return name == "-" || name.find('/') != std::string_view::npos || name.ends_with(kSuffix);
}

std::string ReadAll(std::istream& stream) {
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

}  // namespace

std::vector<std::string> PresetNames(std::string_view folder) {
  std::vector<std::string> names;
  for (const EmbeddedFile& file : EmbeddedPresets()) {
    const std::string_view name = PresetName(file, folder);
    if (!name.empty()) {
      names.emplace_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

Document LoadPresetOrFile(std::string_view folder, std::string_view noun,
                          const std::string& name_or_path) {
  for (const EmbeddedFile& file : EmbeddedPresets()) {
    if (!name_or_path.empty() && PresetName(file, folder) == name_or_path) {
      return {.source = "preset " + name_or_path, .text = std::string(file.text)};
    }
  }
  std::error_code ignored;
  if (LooksLikePath(name_or_path) || std::filesystem::exists(name_or_path, ignored)) {
    return LoadFile(name_or_path);
  }
  throw InputError(fmt::format("{} '{}': no such preset or file{}", noun, name_or_path,
                               DidYouMean(name_or_path, PresetNames(folder))));
}

Document LoadFile(const std::string& path) {
  if (path == "-") {
    return {.source = "standard input", .text = ReadAll(std::cin)};
  }
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) {
    throw InputError(fmt::format("cannot read '{}': it is a directory", path));
  }
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  const int reason = errno;
  std::string text = stream ? ReadAll(stream) : std::string();
  if (!stream) {
    throw InputError(
        fmt::format("cannot read '{}': {}", path, std::generic_category().message(reason)));
  }
  return {.source = path, .text = std::move(text)};
}

}  // namespace slicewise
