// Where results go: a stream, or a file that is replaced whole or not at all.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>

#include "slicewise/cli/run.h"
#include "slicewise/search/request.h"

namespace slicewise::cli {

// Throws InputError naming the path and the reason when the file cannot be written; what was there
// before then stays.
void WriteResult(const std::string& text, const std::optional<std::string>& path,
                 std::ostream& out);
// The columns that a result may take there: a file takes the wide form.
[[nodiscard]] std::size_t ResultWidth(const std::optional<std::string>& path,
                                      const Terminal& terminal);
// Messages: what the person must hear of the inputs; each line of a text after the tool's name.
void PrintNotes(const Provenance& provenance, std::ostream& err);
void PrintLines(const std::string& text, std::ostream& err);
void WriteFileWhole(const std::string& path, const std::string& text);

}  // namespace slicewise::cli
