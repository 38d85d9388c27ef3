#include "output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ostream>
#include <sstream>
#include <vector>

#include "slicewise/units/input_error.h"

namespace slicewise::cli {
namespace {

[[noreturn]] void FailToWrite(const std::string& path) {
  throw InputError(fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
}

bool WriteAll(int file, const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t wrote = write(file, text.data() + done, text.size() - done);
    if (wrote < 0) {
      return false;
    }
    done += static_cast<std::size_t>(wrote);
  }
  return fsync(file) == 0 || errno == EINVAL || errno == ENOTSUP;
}

// A device or pipe, which cannot be replaced: it is written in place.
void WriteInPlace(const std::string& path, const std::string& text) {
  const int file = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) {
    FailToWrite(path);
  }
  const bool wrote = WriteAll(file, text);
  const int error = errno;
  close(file);
  if (!wrote) {
    errno = error;
    FailToWrite(path);
  }
}

// The permissions of the file that is replaced, or of a new one.
mode_t ResultMode(const struct stat* replaced) {
  if (replaced != nullptr) {
    return replaced->st_mode & 07777U;
  }
  const mode_t mask = umask(0);
  umask(mask);
  return 0666U & ~mask;
}

// The file that a symbolic link leads to, so that it is replaced and the link stays.
std::string Target(const std::string& path) {
  char* const resolved = realpath(path.c_str(), nullptr);
  const std::string target = resolved != nullptr ? resolved : path;
  std::free(resolved);
  return target;
}

}  // namespace

void WriteFileWhole(const std::string& path, const std::string& text) {
  struct stat status = {};
  const bool exists = stat(path.c_str(), &status) == 0;
  if (exists && access(path.c_str(), W_OK) != 0) {
    FailToWrite(path);
  }
  if (exists && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
    return WriteInPlace(path, text);
  }
  const std::string target = exists ? Target(path) : path;
  std::string temporary = target + ".XXXXXX";
  const int file = mkstemp(temporary.data());
  if (file < 0) {
    FailToWrite(path);
  }
  const bool wrote =
      fchmod(file, ResultMode(exists ? &status : nullptr)) == 0 && WriteAll(file, text);
  const int write_error = errno;
  if (close(file) != 0 || !wrote || std::rename(temporary.c_str(), target.c_str()) != 0) {
    const int error = wrote ? errno : write_error;
    std::remove(temporary.c_str());
    errno = error;
    FailToWrite(path);
  }
}

std::size_t ResultWidth(const std::optional<std::string>& path, const Terminal& terminal) {
  return path && *path != "-" ? Terminal().width : terminal.width;
}

void WriteResult(const std::string& text, const std::optional<std::string>& path,
                 std::ostream& out) {
  if (path && *path != "-") {
    WriteFileWhole(*path, text);
  } else {
    out << text;
  }
}

void PrintNotes(const Provenance& provenance, std::ostream& err) {
  for (const std::string& note : provenance.notes) {
    err << "slicewise: note: " << note << "\n";
  }
}

// Each line for stderr, after the tool's name.
void PrintLines(const std::string& text, std::ostream& err) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    err << "slicewise: " << line << "\n";
  }
}

}  // namespace slicewise::cli
