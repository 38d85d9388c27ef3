// Measurement files that cannot be used: refused with the file, the row's id and the field.
#include <filesystem>
#include <fstream>

#include "program/program_test_util.h"
#include "slicewise/config/measurement_config.h"

namespace slicewise {
namespace {

constexpr const char* kRow =
    R"({"id": "first", "source": "mine", "split": "fit", "model": "palm-8b", "slice": "2x2x2",
        "phase": "decode", "batch": 8, "input_length": 0, "output_length": 16, "context": 128,
        "layout": "Ex.Fyz/ws/Bxyz", "latency_seconds": 0.5})";

std::string FileOf(const std::string& rows) {
  return R"({"schema": "slicewise-measurements/1", "chip": "tpu-v4", "rows": [)" + rows + "]}";
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << "no '" << from << "'";
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

// The error of loading a file of that text, "no error" where it loads.
struct Loaded {
  std::string path;
  std::string error;
};
Loaded Load(const std::string& text) {
  const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
  std::string file = testing::TempDir() + "slicewise_measurements_" + name + ".json";
  std::replace(file.begin() + static_cast<std::ptrdiff_t>(testing::TempDir().size()), file.end(),
               '/', '_');
  std::ofstream(file, std::ios::binary) << text;
  Loaded loaded = {file, ErrorOf([&] { static_cast<void>(LoadMeasurements(file)); })};
  std::filesystem::remove(file);
  return loaded;
}

TEST(MeasurementFile, ThisOneIsGood) {
  EXPECT_EQ(Load(FileOf(kRow)).error, "no error");
  EXPECT_EQ(Load(FileOf(std::string(kRow) + "," + Replaced(kRow, "first", "second"))).error,
            "no error");
}

struct Bad {
  const char* name;
  const char* from;
  const char* to;
  const char* field;
  const char* words;  // that the message must hold beside file, id and field
};

class BadRow : public testing::TestWithParam<Bad> {};

INSTANTIATE_TEST_SUITE_P(
    Rows, BadRow,
    testing::Values(
        Bad{"MissingLatency", R"(, "latency_seconds": 0.5)", "", "latency_seconds", "missing"},
        Bad{"MissingLayout", R"("layout": "Ex.Fyz/ws/Bxyz", )", "", "layout", "missing"},
        Bad{"MissingSplit", R"("split": "fit", )", "", "split", "missing"},
        Bad{"MissingModel", R"("model": "palm-8b", )", "", "model", "missing"},
        Bad{"MissingBatch", R"("batch": 8, )", "", "batch", "missing"},
        Bad{"UnknownField", R"("batch": 8)", R"("batch": 8, "latancy": 1)", "latancy", "unknown"},
        Bad{"UnknownLayout", "Ex.Fyz/ws/Bxyz", "Ex.Fyz/wx/Bxyz", "layout", "expected ws, or wg-"},
        Bad{"IllegalLayout", "Ex.Fyz/ws/Bxyz", "Ex.Fyz/wg-x/Hxyz", "layout",
            "weights are gathered over x"},
        Bad{"UnknownModel", "palm-8b", "palm-9b", "model", "palm-8b"},
        Bad{"UnknownSlice", "2x2x2", "2x2x3", "slice", "the nearest is 2x2x4"},
        Bad{"ZeroLatency", "0.5", "0", "latency_seconds", "found 0"},
        Bad{"NegativeLatency", "0.5", "-0.5", "latency_seconds", "found -0.5"},
        Bad{"TextLatency", "0.5", R"("0.5 s")", "latency_seconds", "'0.5 s'"},
        Bad{"NullLatency", "0.5", "null", "latency_seconds", "null"},
        Bad{"ZeroBatch", R"("batch": 8)", R"("batch": 0)", "batch", "found 0"},
        Bad{"FractionalBatch", R"("batch": 8)", R"("batch": 8.5)", "batch", "8.5"},
        Bad{"NegativeContext", R"("context": 128)", R"("context": -1)", "context", "found -1"},
        Bad{"UnknownPhase", "decode", "decoding", "phase", "'decoding'"},
        Bad{"UnknownSplit", R"("fit")", R"("train")", "split", "'train'"},
        Bad{"NoStepsToDecode", R"("output_length": 16)", R"("output_length": 0)", "output_length",
            "found 0"},
        Bad{"UnknownWeights", R"("batch": 8)", R"("batch": 8, "weights": "fp8")", "weights",
            "'fp8'"},
        Bad{"HeadsThatDoNotFit", R"("batch": 8)", R"("batch": 8, "padded_heads": 17)",
            "padded_heads", "17"}),
    [](const auto& param) { return param.param.name; });

TEST_P(BadRow, NamesFileIdAndField) {
  const Bad& bad = GetParam();
  const Loaded loaded = Load(FileOf(Replaced(kRow, bad.from, bad.to)));
  EXPECT_NE(loaded.error.find(loaded.path), std::string::npos) << loaded.error;
  EXPECT_NE(loaded.error.find("'first'"), std::string::npos) << loaded.error;
  EXPECT_NE(loaded.error.find(bad.field), std::string::npos) << loaded.error;
  EXPECT_NE(loaded.error.find(bad.words), std::string::npos) << loaded.error;
}

// The row at fault is the one that is named.
TEST(MeasurementFile, NamesTheRowAtFault) {
  const std::string second = Replaced(Replaced(kRow, "first", "second"), "0.5", "0");
  const Loaded loaded = Load(FileOf(std::string(kRow) + "," + second));
  EXPECT_NE(loaded.error.find("'second'"), std::string::npos) << loaded.error;
  EXPECT_NE(loaded.error.find("rows"), std::string::npos) << loaded.error;
  EXPECT_EQ(loaded.error.find("'first'"), std::string::npos) << loaded.error;
}

TEST(MeasurementFile, DuplicateId) {
  const Loaded loaded = Load(FileOf(std::string(kRow) + "," + kRow));
  EXPECT_NE(loaded.error.find(loaded.path), std::string::npos) << loaded.error;
  EXPECT_NE(loaded.error.find("'first' appears twice"), std::string::npos) << loaded.error;
  EXPECT_NE(loaded.error.find("id"), std::string::npos) << loaded.error;
}

// JSON has no NaN and no number beyond a double: refused with file, line and column.
TEST(MeasurementFile, NaN) {
  for (const char* token : {"NaN", "nan", "Infinity", "-Infinity", "1e999"}) {
    const Loaded loaded = Load(FileOf(Replaced(kRow, "0.5", token)));
    EXPECT_NE(loaded.error.find(loaded.path), std::string::npos) << loaded.error;
    EXPECT_NE(loaded.error.find("line 3, column"), std::string::npos) << loaded.error;
  }
}

// NaN is not JSON; the row's id and the field are named all the same.
TEST(MeasurementFile, NaNNamesRowAndField) {
  const Loaded loaded = Load(FileOf(Replaced(kRow, "0.5", "NaN")));
  EXPECT_NE(loaded.error.find("'first'"), std::string::npos) << loaded.error;
  EXPECT_NE(loaded.error.find("latency_seconds"), std::string::npos) << loaded.error;
}

// Figure 3 and Table 1 of a file are checked like its rows.
TEST(MeasurementFile, FiguresAreChecked) {
  const auto error = [](const std::string& extra) {
    return Load(Replaced(FileOf(kRow), R"("rows")", extra + R"(, "rows")")).error;
  };
  const std::string figure =
      R"("figure3": {"source": "s", "model": "figure-3", "slice": "4x4x4",
          "layouts": ["Ex.Fyz/ws/Hxyz"], "rows": [{"tokens": 2048, "volume_gigabytes": [0.067]}]})";
  EXPECT_EQ(error(figure), "no error");
  EXPECT_NE(error(Replaced(figure, "[0.067]", "[0.067, 1]")).find("volume_gigabytes"),
            std::string::npos);
  EXPECT_NE(error(Replaced(figure, "[0.067]", "[0]")).find("volume_gigabytes"), std::string::npos);
  EXPECT_NE(
      error(Replaced(figure, R"(, "volume_gigabytes": [0.067])", "")).find("volume_gigabytes"),
      std::string::npos);
  EXPECT_NE(error(Replaced(figure, R"("source")", R"("sauce": 1, "source")")).find("sauce"),
            std::string::npos);
  const std::string table =
      R"("table1": {"source": "s", "slice": "4x4x4", "padded_heads": 64, "kv_budget_fraction": 0.3,
          "rows": [{"variant": "v", "model": "palm-540b", "attention": "Bxyz", "batch": 128,
                    "max_context": 43000}]})";
  EXPECT_EQ(error(table), "no error");
  EXPECT_NE(error(Replaced(table, "Bxyz", "Bxy")).find("attention"), std::string::npos);
  EXPECT_NE(error(Replaced(table, "43000", "0")).find("max_context"), std::string::npos);
  EXPECT_NE(error(Replaced(table, R"("variant": "v")", R"("variant": "v", "x": 1)")).find("x"),
            std::string::npos);
}

TEST(MeasurementFile, FiguresLayoutsAndHeadsAreChecked) {
  const auto error = [](const std::string& extra) {
    return Load(Replaced(FileOf(kRow), R"("rows")", extra + R"(, "rows")")).error;
  };
  EXPECT_NE(error(R"("figure3": {"source": "s", "model": "figure-3", "slice": "4x4x4",
                      "layouts": ["Ex.Fyz/wz/Hxyz"],
                      "rows": [{"tokens": 2048, "volume_gigabytes": [0.067]}]})")
                .find("layouts"),
            std::string::npos);
  EXPECT_NE(error(R"("table1": {"source": "s", "slice": "4x4x4", "padded_heads": 17,
                      "kv_budget_fraction": 0.3,
                      "rows": [{"variant": "v", "model": "palm-540b", "attention": "Bxyz",
                                "batch": 128, "max_context": 43000}]})")
                .find("padded_heads"),
            std::string::npos);
}

TEST(MeasurementFile, MissingId) {
  const Loaded loaded = Load(FileOf(Replaced(kRow, R"("id": "first", )", "")));
  EXPECT_NE(loaded.error.find(loaded.path), std::string::npos) << loaded.error;
  EXPECT_NE(loaded.error.find("id"), std::string::npos) << loaded.error;
  EXPECT_NE(loaded.error.find("missing"), std::string::npos) << loaded.error;
}

TEST(MeasurementFile, WholeFileErrors) {
  const auto error = [](const std::string& text) { return Load(text).error; };
  EXPECT_NE(error(FileOf("")).find("rows"), std::string::npos);
  EXPECT_NE(error("{").find("line 1"), std::string::npos);
  EXPECT_NE(error(R"({"rows": []})").find("schema"), std::string::npos);
  EXPECT_NE(error(R"({"schema": "slicewise-measurements/9", "rows": []})")
                .find("expected 'slicewise-measurements/1'"),
            std::string::npos);
  EXPECT_NE(error(Replaced(FileOf(kRow), "\"chip\"", "\"chips\"")).find("chips"),
            std::string::npos);
  EXPECT_NE(error(Replaced(FileOf(kRow), "\"tpu-v4\"", "\"tpu-v5\"")).find("tpu-v4"),
            std::string::npos);
}

TEST(MeasurementFile, MissingFileAndNearName) {
  const std::string error = ErrorOf([] { static_cast<void>(LoadMeasurements("pope2023")); });
  EXPECT_NE(error.find("pope2022"), std::string::npos) << error;
}

}  // namespace
}  // namespace slicewise
