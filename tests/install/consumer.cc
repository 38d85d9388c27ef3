// Plans with the installed library alone, and exits non-zero when nothing comes of it.
#include <sstream>

#include "slicewise/cli/run.h"

int main() {
  std::ostringstream out;
  std::ostringstream err;
  const int code = slicewise::Run({"plan", "--model", "palm-8b", "--slice", "2x2x2"}, out, err);
  return code == 0 && out.str().find("palm-8b") != std::string::npos ? 0 : 1;
}
