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
  if (cell.find_first_of(",\"\r\n") == std::string::npos) {
    return cell;
  }
  std::string quoted = "\"";
  for (char c : cell) {
    quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  }
  return quoted + "\"";
}

constexpr std::size_t kGap = 2;
constexpr std::size_t kIndent = 4;

// The table cut into runs of columns, each of which fits beside its indentation.
std::vector<Table> SplitColumns(const Table& table, std::size_t width) {
  const std::vector<std::size_t> widths = Widths(table);
  std::vector<Table> pieces;
  std::size_t used = 0;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    if (pieces.empty() || used + kGap + widths[i] > width) {
      used = pieces.empty() ? widths[i] : kIndent + widths[i];
      pieces.emplace_back().rows.resize(table.rows.size());
    } else {
      used += kGap + widths[i];
    }
    pieces.back().columns.push_back(table.columns[i]);
    for (std::size_t row = 0; row < table.rows.size(); ++row) {
      pieces.back().rows[row].push_back(table.rows[row][i]);
    }
  }
  return pieces;
}

std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
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

std::string FittedText(const Table& table, std::size_t width) {
  for (std::size_t gap : {kGap, std::size_t{1}}) {
    if (TableWidth(table, gap) <= width) {
      return TableText(table, gap);
    }
  }
  std::vector<std::vector<std::string>> pieces;
  for (const Table& piece : SplitColumns(table, width)) {
    pieces.push_back(Lines(TableText(piece, kGap)));
  }
  std::string text;
  for (std::size_t line = 0; line <= table.rows.size(); ++line) {
    for (std::size_t piece = 0; piece < pieces.size(); ++piece) {
      if (!pieces[piece][line].empty()) {
        text += std::string(piece == 0 ? 0 : kIndent, ' ') + pieces[piece][line] + "\n";
      }
    }
  }
  return Wrap(text, width);
}

std::string Wrap(std::string_view text, std::size_t width) {
  std::string out;
  for (std::string line : Lines(text)) {
    while (line.size() > width) {
      const std::size_t first = line.find_first_not_of(' ');
      std::size_t blank = line.rfind(' ', width);
      if (blank == std::string::npos || blank <= first) {
        blank = line.find(' ', first);  // a word longer than the line
      }
      if (blank == std::string::npos) {
        break;
      }
      out += line.substr(0, line.find_last_not_of(' ', blank) + 1) + "\n";
      const std::size_t rest = line.find_first_not_of(' ', blank);
      line = rest == std::string::npos ? "" : std::string(kIndent, ' ') + line.substr(rest);
    }
    out += line + "\n";
  }
  return out;
}

}  // namespace slicewise
