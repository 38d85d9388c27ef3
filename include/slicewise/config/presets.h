// The files of configs/, carried inside the library so that the binary needs no installation path.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace slicewise {

struct EmbeddedFile {
  std::string_view path;  // "models/palm-540b.json"
  std::string_view text;
};

// Every file of configs/*/*.json, in alphabetical order; generated at build time.
[[nodiscard]] std::span<const EmbeddedFile> EmbeddedPresets();

// The names (file stem) of the presets of one folder: "models", "chips", "calibrations", ...
[[nodiscard]] std::vector<std::string> PresetNames(std::string_view folder);

struct Document {
  std::string source;  // the path read, or "preset palm-540b"; first words of error messages
  std::string text;
};

// The preset of that name in the folder, or else the file at that path. Throws InputError where
// neither exists, naming the nearest preset, or where the file cannot be read.
// `noun` is what the folder holds, for messages: "model", "chip", ...
[[nodiscard]] Document LoadPresetOrFile(std::string_view folder, std::string_view noun,
                                        const std::string& name_or_path);
// Reads a whole file; throws InputError naming the path and the reason. "-" is standard input.
[[nodiscard]] Document LoadFile(const std::string& path);

}  // namespace slicewise
