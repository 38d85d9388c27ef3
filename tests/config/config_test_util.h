// What the tests of the config room share.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "slicewise/units/input_error.h"

namespace slicewise {

// tests/config/data/<name>.json.
inline std::string DataPath(const std::string& name) {
  return (std::filesystem::path(__FILE__).parent_path() / "data" / (name + ".json")).string();
}

// A file of that text that lives until the test ends.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text)
      : path_(testing::TempDir() + "slicewise_" + TestName() + ".json") {
    std::ofstream(path_, std::ios::binary) << text;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::filesystem::remove(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  static std::string TestName() {
    const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
    return std::string(test->test_suite_name()) + "_" + test->name();
  }
  std::string path_;
};

// The text with its first occurrence of `from` replaced; the test fails where there is none.
inline std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << "no '" << from << "' in " << text;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

// The message of the InputError that the call throws; "no error" where it throws none.
inline std::string ErrorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

// The error of loading a file of that text, its path shortened to "file".
inline std::string ErrorOfText(const std::string& text,
                               const std::function<void(const std::string&)>& load) {
  const TemporaryFile file(text);
  const std::string error = ErrorOf([&] { load(file.path()); });
  return error == "no error" ? error : Replaced(error, file.path(), "file");
}

}  // namespace slicewise
