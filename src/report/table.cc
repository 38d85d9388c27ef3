#include "slicewise/report/table.h"

#include <algorithm>
#include <numeric>

namespace slicewise {
namespace {

// Code points, so that non-ASCII cells align.
std::size_t Width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

std::vector<std::size_t> Widths(const Table& table) {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    std::size_t width = Width(table.columns[i].title);
    for (const auto& row : table.rows) {
      width = std::max(width, Width(row[i]));
    }
    widths.push_back(width);
  }
  return widths;
}

std::string Escape(const std::string& cell) {
  if (cell.find_first_of(",\"\n") == std::string::npos) {
    return cell;
  }
  std::string quoted = "\"";
  for (char c : cell) {
    quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  }
  return quoted + "\"";
}

}  // namespace

std::string TableText(const Table& table, std::size_t gap) {
  const std::vector<std::size_t> widths = Widths(table);
  std::string text;
  const auto line = [&](const auto& cell) {
    std::string row;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const std::string& value = cell(i);
      const std::string pad(widths[i] - Width(value), ' ');
      row += std::string(i == 0 ? 0 : gap, ' ');
      row += table.columns[i].right ? pad + value : value + pad;
    }
    row.erase(row.find_last_not_of(' ') + 1);
    text += row + "\n";
  };
  line([&](std::size_t i) -> const std::string& { return table.columns[i].title; });
  for (const auto& row : table.rows) {
    line([&](std::size_t i) -> const std::string& { return row[i]; });
  }
  return text;
}

std::string TableMarkdown(const Table& table) {
  std::string text = "|";
  std::string rule = "|";
  for (const Table::Column& column : table.columns) {
    text += " " + column.title + " |";
    rule += column.right ? " ---: |" : " --- |";
  }
  text += "\n" + rule + "\n";
  for (const auto& row : table.rows) {
    text += "|";
    for (const std::string& cell : row) {
      text += " " + cell + " |";
    }
    text += "\n";
  }
  return text;
}

std::string TableCsv(const Table& table) {
  std::string text;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    text += (i == 0 ? "" : ",") + Escape(table.columns[i].title);
  }
  text += "\n";
  for (const auto& row : table.rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += (i == 0 ? "" : ",") + Escape(row[i]);
    }
    text += "\n";
  }
  return text;
}

std::size_t TableWidth(const Table& table, std::size_t gap) {
  const std::vector<std::size_t> widths = Widths(table);
  return std::accumulate(widths.begin(), widths.end(), gap * (widths.size() - 1));
}

}  // namespace slicewise
