#include "process.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "slicewise/units/input_error.h"

namespace slicewise::cli {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

// A file without a name. Pipes would block where both sides write more than they hold.
File TemporaryFile(const std::string& program) {
  File file(std::tmpfile());
  if (!file) {
    throw InputError(fmt::format("cannot run '{}': {}", program, std::strerror(errno)));
  }
  return file;
}

std::string Contents(std::FILE* file) {
  std::string text;
  std::array<char, 1 << 16> block = {};
  std::rewind(file);
  for (std::size_t n = 0; (n = std::fread(block.data(), 1, block.size(), file)) > 0;) {
    text.append(block.data(), n);
  }
  return text;
}

}  // namespace

ProcessResult RunProcess(const std::vector<std::string>& args, const std::string& input) {
  const File in = TemporaryFile(args[0]);
  const File out = TemporaryFile(args[0]);
  const File err = TemporaryFile(args[0]);
  std::fwrite(input.data(), 1, input.size(), in.get());
  std::rewind(in.get());
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fileno(in.get()), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, fileno(out.get()), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, fileno(err.get()), STDERR_FILENO);
  std::vector<std::string> copies = args;
  std::vector<char*> argv;
  for (std::string& arg : copies) {
    argv.push_back(arg.data());
  }
  argv.push_back(nullptr);
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    throw InputError(fmt::format("cannot run '{}': {}", args[0], std::strerror(error)));
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, Contents(out.get()), Contents(err.get())};
}

}  // namespace slicewise::cli
