// Files with bad contents, through the binary: one message that names the file and the place in it,
// exit code 2, nothing on stdout, no file.
#include <gtest/gtest.h>

#include <utility>

#include "cli_test_util.h"

namespace slicewise {
namespace {

// What is wrong inside a file, as an edit of a file that is right.
struct BadFile {
  std::string name, from, to, message;
};

class BadFileTest : public testing::Test {
 protected:
  void Check(const std::string& preset, const Args& args, const std::vector<BadFile>& cases) {
    const std::string good = PresetText(preset);
    for (const BadFile& bad : cases) {
      SCOPED_TRACE(bad.name);
      const ScratchDirectory scratch;
      WriteFile(scratch.path() / "f.json", Replaced(good, bad.from, bad.to));
      ExpectBadInput(RunBinary(args, {.directory = scratch.path()}), "f.json: " + bad.message);
      EXPECT_EQ(scratch.Files(), std::vector<std::string>{"f.json"});
    }
  }
};

TEST_F(BadFileTest, Models) {
  const std::string layers = "\"layers\": 32";
  const std::string whole = "expected a whole number from 1 to 1e15";
  Check(
      "models/palm-8b.json", Words("plan --slice 4x4x4 --model f.json --output result"),
      {{"negative", layers, "\"layers\": -3", "/layers: found -3, " + whole},
       {"zero", layers, "\"layers\": 0", "/layers: found 0, " + whole},
       {"wrong type", layers, "\"layers\": \"32\"", "/layers: found '32', " + whole},
       {"null", layers, "\"layers\": null", "/layers: found null, " + whole},
       {"fraction", layers, "\"layers\": 1.5",
        "/layers: found 1.5, " + whole + ", written in digits alone"},
       {"overflow", layers, "\"layers\": 99999999999999999999",
        "/layers: found 99999999999999999999, " + whole},
       {"overflowing exponent", layers, "\"layers\": 1e999",
        "line 3, column 17: the number 1e999 is too large"},
       {"overflowing product", layers, "\"layers\": 1000000000000",
        "found a model of about 2e+20 parameters, expected at most 1e+17"},
       {"missing", layers + ",", "", "/layers: missing, " + whole},
       {"unknown key", layers, layers + ", \"layesr\": 32",
        "/layesr: unknown key; did you mean 'layers'?"},
       {"twice", layers, layers + ", " + layers, "/layers: this key appears twice"},
       {"not a flag", "\"gated\": true", "\"gated\": 1", "/gated: found 1, expected true or false"},
       {"not a choice", "\"parallel\"", "\"paralel\"",
        "/block: found 'paralel', expected one of 'parallel', 'serial'; did you mean "
        "'parallel'?"},
       {"no divisor", "\"kv_heads\": 1", "\"kv_heads\": 3",
        "/kv_heads: found 3, expected a divisor of query_heads, 16"},
       {"malformed", "{", "{,",
        "line 1, column 2: syntax error while parsing object key - unexpected ','; expected "
        "string literal"}});
}

TEST_F(BadFileTest, WhatIsNoModelAtAll) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"",
       "line 1, column 1: syntax error while parsing value - unexpected end of input; expected "
       "'[', '{', or a literal"},
      {"[]", "found an array of 0, expected an object in braces"},
      {"{}",
       "found neither a slicewise model ('layers', 'embed_dim', ...) nor a Hugging Face "
       "config.json ('model_type' or 'architectures')"},
  };
  for (const auto& [text, message] : cases) {
    const ScratchDirectory scratch;
    WriteFile(scratch.path() / "f.json", text);
    for (const char* command : {"plan", "explain", "capacity"}) {
      ExpectBadInput(RunBinary({command, "--slice", "4x4x4", "--model", "f.json"},
                               {.directory = scratch.path()}),
                     "f.json: " + message);
    }
  }
}

TEST_F(BadFileTest, HuggingFaceModelsThatCannotBePlanned) {
  const std::string data = std::string(SLICEWISE_SOURCE_DIR) + "/tests/config/data/";
  const std::string mixtral = data + "mixtral-8x7b.json";
  ExpectBadInput(
      RunBinary({"plan", "--slice", "4x4x4", "--model", mixtral}),
      mixtral +
          ": /num_local_experts: found 8, expected a dense decoder: a mixture of experts "
          "cannot be planned");
  const std::string t5 = data + "t5-small.json";
  ExpectBadInput(RunBinary({"capacity", "--slice", "4x4x4", "--model", t5}),
                 t5 + ": /is_encoder_decoder: found true, expected a dense decoder: an "
                      "encoder-decoder cannot be planned");
}

TEST_F(BadFileTest, Chips) {
  const std::string rate = "\"1200 GB/s\"";
  const std::string expected = ", expected a rate in bytes per second above 0, such as '1.2 TB/s'";
  Check("chips/tpu-v4.json", Words("plan --slice 4x4x4 --model palm-8b --chip f.json"),
        {{"no unit", rate, "1200", "/hbm_bandwidth: found 1200" + expected},
         {"negative", rate, "\"-1200 GB/s\"", "/hbm_bandwidth: found '-1200 GB/s'" + expected},
         {"zero", rate, "\"0 GB/s\"", "/hbm_bandwidth: found '0 GB/s'" + expected},
         {"wrong unit", "\"32 GiB\"", "\"32 Gib\"",
          "/hbm_nominal: found '32 Gib', expected an amount of bytes above 0, such as '32 GiB'"},
         {"price", "3.22 USD", "1e999 USD",
          "/price_per_chip_hour: found '1e999 USD', expected a price in dollars, such as '3.22 "
          "USD'"}});
}

// On a file of its own: the preset's numbers change with every fit.
TEST_F(BadFileTest, Calibrations) {
  const ScratchDirectory scratch;
  const Outcome roofline =
      RunBinary(Words("calibrate pope2022 -o f.json --name own"), {.directory = scratch.path()});
  ASSERT_EQ(roofline.exit_code, 0) << roofline.err;
  const std::string good = ReadFile(scratch.path() / "f.json");
  const std::size_t at = good.find("\"value\": ") + 9;
  const std::string value = good.substr(at, good.find(',', at) - at);
  const std::vector<BadFile> cases = {
      {"wrong type", "\"value\": " + value, "\"value\": \"1\"",
       "/parameters/matmul_efficiency/value: found '1', expected a number"},
      {"out of range", "\"value\": " + value, "\"value\": -1",
       "/parameters/matmul_efficiency/value: found -1, expected 0.5 to 1 (fraction of peak)"},
      {"missing", "\"matmul_efficiency\"", "\"matmul_eficiency\"",
       "/parameters/matmul_efficiency: missing, expected an object"},
      {"not text", "\"name\": \"own\"", "\"name\": 3", "/name: found 3, expected text"},
  };
  for (const BadFile& bad : cases) {
    SCOPED_TRACE(bad.name);
    WriteFile(scratch.path() / "f.json", Replaced(good, bad.from, bad.to));
    ExpectBadInput(RunBinary(Args{"plan"} + kSetting + Words("--calibration f.json"),
                             {.directory = scratch.path()}),
                   "f.json: " + bad.message);
  }
}

TEST_F(BadFileTest, Measurements) {
  const std::string row = " (row 'd2-palm-prefill-b4')";
  const std::vector<BadFile> cases = {
      {"negative", "\"latency_seconds\": 0.034", "\"latency_seconds\": -1",
       "/rows/0/latency_seconds: found -1, expected a number above 0" + row},
      {"zero", "\"batch\": 4,", "\"batch\": 0,",
       "/rows/0/batch: found 0, expected a whole number from 1 to 1e15" + row},
      {"layout", "\"layout\": \"Ex.Fyz/ws/Hxyz\"", "\"layout\": \"Ex.Fyz/ws\"",
       "/rows/0/layout: layout 'Ex.Fyz/ws': expected <weights>/<ffn>/<attention>, such as "
       "Ex.Fyz/ws/Bxyz" +
           row},
      {"model", "\"model\": \"palm-540b\"", "\"model\": \"palm-540\"",
       "/rows/0/model: model 'palm-540': no such preset or file; did you mean 'palm-540b'?" + row},
      {"schema", "slicewise-measurements/1", "slicewise-measurements/9",
       "/schema: found 'slicewise-measurements/9', expected 'slicewise-measurements/1'"},
  };
  Check("measurements/pope2022.json", Words("validate f.json"), cases);
  Check("measurements/pope2022.json", Words("calibrate f.json -o result"), cases);
}

}  // namespace
}  // namespace slicewise
