#include "slicewise/config/presets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "config_test_util.h"
#include "slicewise/config/chip_config.h"
#include "slicewise/config/model_config.h"

namespace slicewise {
namespace {

TEST(PresetsTest, NamesAreSortedFileStemsOfOneFolder) {
  EXPECT_EQ(PresetNames("chips"), std::vector<std::string>{"tpu-v4"});
  EXPECT_EQ(
      PresetNames("models"),
      (std::vector<std::string>{
          "falcon-180b", "falcon-40b", "figure-3", "gemma-2b", "gemma-7b", "gpt-3-175b",
          "llama-2-70b", "llama-3-70b", "llama-3-8b", "llama-3.1-405b", "mistral-7b", "mt-nlg-530b",
          "palm-540b", "palm-540b-multihead", "palm-62b", "palm-8b", "qwen3-32b", "starcoder"}));
  EXPECT_TRUE(PresetNames("model").empty());
  EXPECT_TRUE(PresetNames("absent").empty());
}

TEST(PresetsTest, EveryPresetLoadsAndIsNamedAsItsFile) {
  for (const std::string& name : PresetNames("models")) {
    EXPECT_EQ(LoadModel(name).model.name, name);
    EXPECT_TRUE(LoadModel(name).notes.empty()) << name;
  }
  for (const std::string& name : PresetNames("chips")) {
    EXPECT_EQ(LoadChip(name).name, name);
  }
}

TEST(PresetsTest, APresetNamesItselfAsTheSource) {
  const Document document = LoadPresetOrFile("chips", "chip", "tpu-v4");
  EXPECT_EQ(document.source, "preset tpu-v4");
  EXPECT_EQ(document.text.substr(0, 24), "{\n  \"name\": \"tpu-v4\",\n  ");
}

TEST(PresetsTest, AFileIsReadWhole) {
  const std::string text("line\r\n\0end", 10);
  const TemporaryFile file(text);
  EXPECT_EQ(LoadPresetOrFile("models", "model", file.path()).text, text);
  EXPECT_EQ(LoadFile(file.path()).source, file.path());
}

TEST(PresetsTest, AnUnknownNameGetsTheNearestPreset) {
  const auto error = [](const std::string& name) {
    return ErrorOf([&] { (void)LoadPresetOrFile("models", "model", name); });
  };
  EXPECT_EQ(error("palm540b"),
            "model 'palm540b': no such preset or file; did you mean 'palm-540b'?");
  EXPECT_EQ(error("zzzzzzzzzzzzzzzz"), "model 'zzzzzzzzzzzzzzzz': no such preset or file");
  EXPECT_EQ(error(""), "model '': no such preset or file");
}

TEST(PresetsTest, APathThatCannotBeReadSaysWhy) {
  EXPECT_EQ(ErrorOf([] { (void)LoadPresetOrFile("models", "model", "no/such.json"); }),
            "cannot read 'no/such.json': No such file or directory");
  EXPECT_EQ(ErrorOf([] { (void)LoadFile("/"); }), "cannot read '/': it is a directory");
}

}  // namespace
}  // namespace slicewise
