// A table of text cells and its renderings.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace slicewise {

struct Table {
  struct Column {
    std::string title;
    bool right = true;  // numbers align right
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;  // each as long as `columns`
};

// Aligned columns, `gap` spaces apart, no trailing blanks.
[[nodiscard]] std::string TableText(const Table& table, std::size_t gap = 2);
[[nodiscard]] std::string TableMarkdown(const Table& table);
// RFC 4180, a header line first.
[[nodiscard]] std::string TableCsv(const Table& table);
// The width of the widest line of TableText.
[[nodiscard]] std::size_t TableWidth(const Table& table, std::size_t gap = 2);

// TableText within `width` columns: where the columns need more, each row takes several lines, the
// later ones indented.
[[nodiscard]] std::string FittedText(const Table& table, std::size_t width);
// Every line broken at blanks to at most `width` columns; what continues a line is indented.
[[nodiscard]] std::string Wrap(std::string_view text, std::size_t width);

}  // namespace slicewise
