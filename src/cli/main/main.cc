#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <string>

#include "slicewise/cli/run.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  slicewise::Terminal terminal;
  winsize window = {};
  if (isatty(STDOUT_FILENO) != 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 &&
      window.ws_col > 0) {
    terminal.width = window.ws_col;
  }
  terminal.interactive = isatty(STDERR_FILENO) != 0;
  const int code = slicewise::Run({argv + 1, argv + argc}, std::cout, std::cerr, terminal);
  errno = 0;
  if (!std::cout.flush()) {
    std::cerr << "slicewise: cannot write standard output"
              << (errno != 0 ? std::string(": ") + std::strerror(errno) : "") << "\n";
    return static_cast<int>(slicewise::ExitCode::kBadInput);
  }
  return code;
}
