// The one exception of the project: input that cannot be used. It ends the command (exit code 2);
// everything that a search can meet is a value instead (Violation, std::optional).
#pragma once

#include <stdexcept>
#include <string>

namespace slicewise {

class InputError : public std::runtime_error {
 public:
  explicit InputError(const std::string& message) : std::runtime_error(message) {}
};

}  // namespace slicewise
