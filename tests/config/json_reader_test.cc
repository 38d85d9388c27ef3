#include "slicewise/config/json_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config_test_util.h"

namespace slicewise {
namespace {

JsonReader Read(const std::string& text) {
  return JsonReader::Parse({.source = "m.json", .text = text});
}

// The error of asking a document for one thing.
template <class Question>
std::string Error(const std::string& text, const Question& question) {
  return ErrorOf([&] {
    JsonReader root = Read(text);
    question(root);
  });
}

std::string CountError(const std::string& value) {
  return Error("{\"layers\": " + value + "}", [](JsonReader& root) { (void)root.Count("layers"); });
}

std::string BandwidthError(const std::string& value) {
  return Error("{\"rate\": " + value + "}", [](JsonReader& root) { (void)root.Bandwidth("rate"); });
}

TEST(JsonReaderTest, ReadsEveryKindOfMember) {
  JsonReader root = Read(R"({
    "text": "palm", "count": 118, "whole": 0, "number": -2.5, "positive": 1e-3, "flag": true,
    "object": {"inner": 7}, "objects": [{"n": 1}, {"n": 2}], "counts": [4, 4, 8],
    "texts": ["a", "b"], "choice": "serial", "bandwidth": "1.2 TB/s", "amount": "32 GiB",
    "flops": "275 TFLOP/s", "null": null})");
  EXPECT_EQ(root.Text("text"), "palm");
  EXPECT_EQ(root.Count("count"), 118);
  EXPECT_EQ(root.Whole("whole"), 0);
  EXPECT_EQ(root.Number("number"), -2.5);
  EXPECT_EQ(root.Positive("positive"), 0.001);
  EXPECT_TRUE(root.Flag("flag"));
  EXPECT_EQ(root.Object("object").Count("inner"), 7);
  std::vector<JsonReader> objects = root.Objects("objects");
  ASSERT_EQ(objects.size(), 2U);
  EXPECT_EQ(objects[0].Count("n") + objects[1].Count("n"), 3);  // 1 + 2
  EXPECT_EQ(root.Counts("counts"), (std::vector<std::int64_t>{4, 4, 8}));
  EXPECT_EQ(root.Texts("texts"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(root.Choice("choice", {"parallel", "serial"}), "serial");
  EXPECT_EQ(root.Bandwidth("bandwidth"), GigabytesPerSecond(1200));
  EXPECT_EQ(root.Amount("amount"), Gibibytes(32));
  EXPECT_EQ(root.FlopsRate("flops"), TeraflopsPerSecond(275));
  EXPECT_EQ(root.OptionalText("null"), std::nullopt);
  EXPECT_EQ(root.OptionalCount("absent"), std::nullopt);
  EXPECT_EQ(root.OptionalCount("count"), 118);
  EXPECT_EQ(root.OptionalFlag("flag"), true);
  root.Finish();
}

TEST(JsonReaderTest, KeysKeepTheOrderOfTheFile) {
  EXPECT_EQ(Read(R"({"b": 1, "a": 2})").Keys(), (std::vector<std::string>{"b", "a"}));
}

TEST(JsonReaderTest, WhereNamesTheFileAndThePath) {
  JsonReader root = Read(R"({"outer": {"a/b~c": 1}})");
  EXPECT_EQ(root.Where(""), "m.json");
  EXPECT_EQ(root.Where("outer"), "m.json: /outer");
  EXPECT_EQ(root.Object("outer").Where("a/b~c"), "m.json: /outer/a~1b~0c");
}

TEST(JsonReaderTest, MissingAndNullMembers) {
  const auto count = [](JsonReader& root) { (void)root.Count("layers"); };
  EXPECT_EQ(Error("{}", count), "m.json: /layers: missing, expected a whole number from 1 to 1e15");
  EXPECT_EQ(Error(R"({"layers": null})", count),
            "m.json: /layers: found null, expected a whole number from 1 to 1e15");
}

TEST(JsonReaderTest, CountsRefuseEverythingElse) {
  const std::string expected = ", expected a whole number from 1 to 1e15";
  EXPECT_EQ(CountError("0"), "m.json: /layers: found 0" + expected);
  EXPECT_EQ(CountError("-3"), "m.json: /layers: found -3" + expected);
  EXPECT_EQ(CountError("'3'"),
            "m.json: line 1, column 12: syntax error while parsing value - "
            "invalid literal; last read: '\"layers\": ''");
  EXPECT_EQ(CountError("\"3\""), "m.json: /layers: found '3'" + expected);
  EXPECT_EQ(CountError("true"), "m.json: /layers: found true" + expected);
  EXPECT_EQ(CountError("[1, 2]"), "m.json: /layers: found an array of 2" + expected);
  EXPECT_EQ(CountError("{}"), "m.json: /layers: found an object" + expected);
  EXPECT_EQ(CountError("1e3"),
            "m.json: /layers: found 1e3" + expected + ", written in digits alone");
  EXPECT_EQ(CountError("4096.0"),
            "m.json: /layers: found 4096.0" + expected + ", written in digits alone");
  EXPECT_EQ(CountError("1000000000000001"), "m.json: /layers: found 1000000000000001" + expected);
  EXPECT_EQ(CountError("18446744073709551615"),
            "m.json: /layers: found 18446744073709551615" + expected);
  EXPECT_EQ(CountError("99999999999999999999"),
            "m.json: /layers: found 99999999999999999999" + expected);
  EXPECT_EQ(CountError("1000000000000000"), "no error");
}

TEST(JsonReaderTest, LongTextsAreCutInMessages) {
  EXPECT_EQ(CountError("\"" + std::string(70, 'x') + "\""),
            "m.json: /layers: found '" + std::string(60, 'x') +
                "...', expected a whole number from 1 to 1e15");
}

TEST(JsonReaderTest, WrongTypes) {
  const auto text = [](JsonReader& root) { (void)root.Text("a"); };
  const auto flag = [](JsonReader& root) { (void)root.Flag("a"); };
  const auto whole = [](JsonReader& root) { (void)root.Whole("a"); };
  const auto number = [](JsonReader& root) { (void)root.Number("a"); };
  const auto positive = [](JsonReader& root) { (void)root.Positive("a"); };
  const auto object = [](JsonReader& root) { (void)root.Object("a"); };
  const auto objects = [](JsonReader& root) { (void)root.Objects("a"); };
  const auto counts = [](JsonReader& root) { (void)root.Counts("a"); };
  const auto texts = [](JsonReader& root) { (void)root.Texts("a"); };
  EXPECT_EQ(Error(R"({"a": 1})", text), "m.json: /a: found 1, expected text");
  EXPECT_EQ(Error(R"({"a": 1})", flag), "m.json: /a: found 1, expected true or false");
  EXPECT_EQ(Error(R"({"a": -1})", whole),
            "m.json: /a: found -1, expected a whole number from 0 to 1e15");
  EXPECT_EQ(Error(R"({"a": "1"})", number), "m.json: /a: found '1', expected a number");
  EXPECT_EQ(Error(R"({"a": 0})", positive), "m.json: /a: found 0, expected a number above 0");
  EXPECT_EQ(Error(R"({"a": -0.5})", positive), "m.json: /a: found -0.5, expected a number above 0");
  EXPECT_EQ(Error(R"({"a": []})", object), "m.json: /a: found an array of 0, expected an object");
  EXPECT_EQ(Error(R"({"a": {}})", objects),
            "m.json: /a: found an object, expected an array of objects");
  EXPECT_EQ(Error(R"({"a": [{}, 5]})", objects), "m.json: /a/1: found 5, expected an object");
  EXPECT_EQ(Error(R"({"a": 4})", counts),
            "m.json: /a: found 4, expected an array of whole numbers");
  EXPECT_EQ(Error(R"({"a": [4, 0]})", counts),
            "m.json: /a/1: found 0, expected a whole number from 1 to 1e15");
  EXPECT_EQ(Error(R"({"a": "b"})", texts), "m.json: /a: found 'b', expected an array of texts");
  EXPECT_EQ(Error(R"({"a": [7]})", texts), "m.json: /a/0: found 7, expected text");
}

TEST(JsonReaderTest, ChoicesNameWhatIsAllowedAndTheNearest) {
  const auto block = [](JsonReader& root) { (void)root.Choice("a", {"parallel", "serial"}); };
  EXPECT_EQ(Error(R"({"a": "paralel"})", block),
            "m.json: /a: found 'paralel', expected one of 'parallel', 'serial'; did you mean "
            "'parallel'?");
  EXPECT_EQ(Error(R"({"a": "x"})", block),
            "m.json: /a: found 'x', expected one of 'parallel', 'serial'");
  EXPECT_EQ(Error(R"({"a": 2})", block),
            "m.json: /a: found 2, expected one of 'parallel', 'serial'");
}

TEST(JsonReaderTest, QuantitiesNeedTheirUnit) {
  const std::string expected = ", expected a rate in bytes per second above 0, such as '1.2 TB/s'";
  EXPECT_EQ(BandwidthError("270"), "m.json: /rate: found 270" + expected);
  EXPECT_EQ(BandwidthError("\"270\""), "m.json: /rate: found '270'" + expected);
  EXPECT_EQ(BandwidthError("\"270 GB\""), "m.json: /rate: found '270 GB'" + expected);
  EXPECT_EQ(BandwidthError("\"-1 GB/s\""), "m.json: /rate: found '-1 GB/s'" + expected);
  EXPECT_EQ(BandwidthError("\"0 GB/s\""), "m.json: /rate: found '0 GB/s'" + expected);
  EXPECT_EQ(BandwidthError("\"nan GB/s\""), "m.json: /rate: found 'nan GB/s'" + expected);
  EXPECT_EQ(BandwidthError("\"inf GB/s\""), "m.json: /rate: found 'inf GB/s'" + expected);
  EXPECT_EQ(Error(R"({"a": "32"})", [](JsonReader& root) { (void)root.Amount("a"); }),
            "m.json: /a: found '32', expected an amount of bytes above 0, such as '32 GiB'");
  EXPECT_EQ(Error(R"({"a": "275 TB/s"})", [](JsonReader& root) { (void)root.FlopsRate("a"); }),
            "m.json: /a: found '275 TB/s', expected a rate of floating-point operations above 0, "
            "such as '275 TFLOP/s'");
}

TEST(JsonReaderTest, UnknownKeysNameTheNearestKnownOne) {
  const auto model = [](JsonReader& root) {
    (void)root.OptionalCount("layers");
    (void)root.OptionalCount("head_dim");
    root.Finish();
  };
  EXPECT_EQ(Error(R"({"layres": 3})", model),
            "m.json: /layres: unknown key; did you mean 'layers'?");
  EXPECT_EQ(Error(R"({"colour": 3})", model), "m.json: /colour: unknown key");
  EXPECT_EQ(Error(R"({"layers": 3, "head_dim": null})", model), "no error");
}

TEST(JsonReaderTest, FinishLooksIntoTheObjectsThatWereRead) {
  const auto nested = [](JsonReader& root) {
    (void)root.Object("norm").Has("kind");
    for (JsonReader& row : root.Objects("rows")) {
      (void)row.Count("n");
    }
    root.Skip("free");
    root.Finish();
  };
  EXPECT_EQ(Error(R"({"norm": {"kidn": 1}, "rows": []})", nested),
            "m.json: /norm/kidn: unknown key; did you mean 'kind'?");
  EXPECT_EQ(Error(R"({"norm": {}, "rows": [{"n": 1}, {"n": 2, "m": 3}]})", nested),
            "m.json: /rows/1/m: unknown key");
  EXPECT_EQ(Error(R"({"norm": {}, "rows": [], "free": {"anything": 1}})", nested), "no error");
}

TEST(JsonReaderTest, SyntaxErrorsCarryLineAndColumn) {
  const auto nothing = [](JsonReader&) {};
  EXPECT_EQ(Error("{\n  \"a\": 1,\n}", nothing),
            "m.json: line 3, column 1: syntax error while parsing object key - unexpected '}'; "
            "expected string literal");
  EXPECT_EQ(Error("", nothing),
            "m.json: line 1, column 1: syntax error while parsing value - unexpected end of input; "
            "expected '[', '{', or a literal");
  EXPECT_EQ(Error("{\"a\": NaN}", nothing),
            "m.json: line 1, column 7: syntax error while parsing value - invalid literal; last "
            "read: '\"a\": N'");
}

TEST(JsonReaderTest, NumbersBeyondADoubleAreRefused) {
  EXPECT_EQ(Error("{\n\"a\": 1e400}", [](JsonReader&) {}),
            "m.json: line 2, column 10: the number 1e400 is too large");
}

TEST(JsonReaderTest, KeysThatAppearTwiceAreRefused) {
  const auto nothing = [](JsonReader&) {};
  EXPECT_EQ(Error(R"({"a": 1, "b": 2, "a": 1})", nothing), "m.json: /a: this key appears twice");
  EXPECT_EQ(Error(R"({"x": [0, {"y": 1, "y": 1}]})", nothing),
            "m.json: /x/1/y: this key appears twice");
  EXPECT_EQ(Error(R"({"x": {"y": 1}, "y": {"x": 1}})", nothing), "no error");
}

TEST(JsonReaderTest, TheRootIsAnObject) {
  EXPECT_EQ(Error("[1]", [](JsonReader&) {}),
            "m.json: found an array of 1, expected an object in braces");
  EXPECT_EQ(Error("1e3", [](JsonReader&) {}), "m.json: found 1e3, expected an object in braces");
}

}  // namespace
}  // namespace slicewise
