// Where results go: a stream, or a file that is replaced whole or not at all.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>

namespace slicewise::cli {

// Throws InputError naming the path and the reason when the file cannot be written; what was there
// before then stays.
void WriteResult(const std::string& text, const std::optional<std::string>& path,
                 std::ostream& out);
void WriteFileWhole(const std::string& path, const std::string& text);

}  // namespace slicewise::cli
