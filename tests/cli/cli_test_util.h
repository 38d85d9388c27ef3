// What the tests of the command line share: the binary run as a process of its own, and a directory
// of its own for each test.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace slicewise {

using Args = std::vector<std::string>;

inline Args operator+(Args args, const Args& more) {
  args.insert(args.end(), more.begin(), more.end());
  return args;
}

// "a b c" -> {"a", "b", "c"}.
inline Args Words(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), std::istream_iterator<std::string>()};
}

inline std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  EXPECT_TRUE(stream) << path;
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

inline void WriteFile(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// The text with its first occurrence of `from` replaced; the test fails where there is none.
inline std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << "no '" << from << "' in " << text;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

// A fresh directory that goes with the object.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string name = testing::TempDir() + "slicewise_cli_XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory() { std::filesystem::remove_all(path_); }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  // Everything below, sorted: a temporary file left behind shows here.
  [[nodiscard]] std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
      names.push_back(entry.path().lexically_relative(path_).string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  std::filesystem::path path_;
};

struct Outcome {
  int exit_code = -1;  // -1 when a signal ended it
  std::string out;
  std::string err;
};

struct Process {
  std::filesystem::path directory = "/";  // working directory
  std::string input = "/dev/null";        // file that is its standard input
  std::string output;                     // file that is its standard output, instead of Outcome
};

// Runs the binary that was built, to its end.
inline Outcome RunBinary(const Args& args, const Process& process = {}) {
  std::FILE* const out = std::tmpfile();
  std::FILE* const err = std::tmpfile();
  std::vector<char*> argv = {const_cast<char*>(SLICEWISE_BINARY)};
  for (const std::string& arg : args) {
    argv.push_back(const_cast<char*>(arg.c_str()));
  }
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    const int in_file = open(process.input.c_str(), O_RDONLY);
    const int out_file =
        process.output.empty() ? fileno(out) : open(process.output.c_str(), O_WRONLY);
    const bool ready = chdir(process.directory.c_str()) == 0 && dup2(in_file, 0) >= 0 &&
                       dup2(out_file, 1) >= 0 && dup2(fileno(err), 2) >= 0;
    if (ready) {
      execv(SLICEWISE_BINARY, argv.data());
    }
    _exit(127);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  Outcome outcome;
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  const auto drain = [](std::FILE* file) {
    std::string text;
    std::array<char, 65536> block = {};
    std::rewind(file);
    for (std::size_t n = 0; (n = std::fread(block.data(), 1, block.size(), file)) > 0;) {
      text.append(block.data(), n);
    }
    std::fclose(file);
    return text;
  };
  outcome.out = drain(out);
  outcome.err = drain(err);
  return outcome;
}

// One message of one line, exit code 2, nothing on stdout.
inline void ExpectBadInput(const Outcome& outcome, const std::string& message) {
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_EQ(outcome.err, "slicewise: " + message + "\n");
}

// A preset's text, from the source tree.
inline std::string PresetText(const std::string& path) {
  return ReadFile(std::filesystem::path(SLICEWISE_SOURCE_DIR) / "configs" / path);
}

inline const Args kSetting = {"--model", "palm-540b", "--slice", "4x4x4"};

}  // namespace slicewise
