// One table, three renderings, and what fits into a narrow terminal.
#include "slicewise/report/table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace slicewise {
namespace {

Table Example() {
  Table table;
  table.columns = {{"layout", false}, {"latency"}, {"note", false}};
  table.rows = {{"Ex.Fyz", "1.82 s", ""}, {"F", "85 ms", "a, b"}};
  return table;
}

TEST(TableText, AlignsColumnsWithoutTrailingBlanks) {
  EXPECT_EQ(TableText(Example()),
            "layout  latency  note\n"
            "Ex.Fyz   1.82 s\n"
            "F         85 ms  a, b\n");
  EXPECT_EQ(TableText(Example(), 1),
            "layout latency note\n"
            "Ex.Fyz  1.82 s\n"
            "F        85 ms a, b\n");
  EXPECT_EQ(TableWidth(Example()), 21U);  // 6 + 2 + 7 + 2 + 4
  EXPECT_EQ(TableWidth(Example(), 1), 19U);
}

// Widths count characters, not bytes.
TEST(TableText, AlignsNonAscii) {
  Table table;
  table.columns = {{"unit", false}, {"n"}};
  table.rows = {{"\xC2\xB5s", "1"}, {"ms", "20"}};  // a micro sign is two bytes
  EXPECT_EQ(TableText(table),
            "unit   n\n"
            "\xC2\xB5s     1\n"
            "ms    20\n");
}

TEST(TableMarkdown, MarksRightAlignedColumns) {
  EXPECT_EQ(TableMarkdown(Example()),
            "| layout | latency | note |\n"
            "| --- | ---: | --- |\n"
            "| Ex.Fyz | 1.82 s |  |\n"
            "| F | 85 ms | a, b |\n");
}

// RFC 4180: commas, quotes and line breaks are quoted, quotes doubled.
TEST(TableCsv, QuotesWhatMustBe) {
  Table table;
  table.columns = {{"a"}, {"b, c"}};
  table.rows = {{"plain", "with, comma"}, {"with \"quotes\"", "two\nlines"}, {"", " spaced "}};
  EXPECT_EQ(TableCsv(table),
            "a,\"b, c\"\n"
            "plain,\"with, comma\"\n"
            "\"with \"\"quotes\"\"\",\"two\nlines\"\n"
            ", spaced \n");
}

std::size_t Widest(const std::string& text) {
  std::istringstream lines(text);
  std::size_t widest = 0;
  for (std::string line; std::getline(lines, line);) {
    widest = std::max(widest, line.size());
  }
  return widest;
}

TEST(FittedText, IsTheTableWhereItFits) {
  EXPECT_EQ(FittedText(Example(), 80), TableText(Example()));
  EXPECT_EQ(FittedText(Example(), 21), TableText(Example()));
  EXPECT_EQ(FittedText(Example(), 20), TableText(Example(), 1));
}

// Narrower than the table: every cell is still there, in lines that fit.
TEST(FittedText, TakesSeveralLinesARowWhereItDoesNot) {
  const std::string text = FittedText(Example(), 16);
  EXPECT_LE(Widest(text), 16U) << text;
  for (const char* cell : {"layout", "latency", "note", "Ex.Fyz", "1.82 s", "85 ms", "a, b"}) {
    EXPECT_NE(text.find(cell), std::string::npos) << cell << " in\n" << text;
  }
  EXPECT_LT(text.find("Ex.Fyz"), text.find("1.82 s"));
  EXPECT_LT(text.find("1.82 s"), text.find("85 ms"));
}

TEST(Wrap, BreaksAtBlanksAndIndents) {
  const std::string wrapped = Wrap("one two three four five\nshort\n", 11);
  EXPECT_LE(Widest(wrapped), 11U) << wrapped;
  // Without breaks and indentation the words are the same.
  std::istringstream words(wrapped);
  std::string joined;
  for (std::string word; words >> word;) {
    joined += word + " ";
  }
  EXPECT_EQ(joined, "one two three four five short ");
  EXPECT_EQ(Wrap("short\n", 11), "short\n");
}

}  // namespace
}  // namespace slicewise
