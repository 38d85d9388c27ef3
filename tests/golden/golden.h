// Golden files: text that a person reads, kept as it was reviewed.
//
// After a change that is meant, one command rewrites them all in the source tree, for review as a
// diff:
//
//   SLICEWISE_UPDATE_GOLDENS=1 ctest --test-dir build -R golden
//
// The variable is read here only, never by slicewise itself.
#pragma once

#include <string>

namespace slicewise {

// `text` equals tests/golden/data/<name>. Numbers may differ in the last digits, where a compiler
// contracts floating-point operations; everything else is exact. The tool's version is "VERSION"
// in the file.
void ExpectGolden(const std::string& name, const std::string& text);

}  // namespace slicewise
