#include "output.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ostream>
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

}  // namespace

void WriteFileWhole(const std::string& path, const std::string& text) {
  if (access(path.c_str(), F_OK) == 0 && access(path.c_str(), W_OK) != 0) {
    FailToWrite(path);
  }
  std::string temporary = path + ".XXXXXX";
  const int file = mkstemp(temporary.data());
  if (file < 0) {
    FailToWrite(path);
  }
  constexpr mode_t kMode = 0644;
  const bool wrote = fchmod(file, kMode) == 0 && WriteAll(file, text);
  const int write_error = errno;
  if (close(file) != 0 || !wrote || std::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = wrote ? errno : write_error;
    std::remove(temporary.c_str());
    errno = error;
    FailToWrite(path);
  }
}

void WriteResult(const std::string& text, const std::optional<std::string>& path,
                 std::ostream& out) {
  if (path && *path != "-") {
    WriteFileWhole(*path, text);
  } else {
    out << text;
  }
}

}  // namespace slicewise::cli
