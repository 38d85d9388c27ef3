#include "slicewise/cli/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <ostream>

#include "commands.h"
#include "slicewise/units/input_error.h"
#include "slicewise/units/text.h"

namespace slicewise {
namespace {

std::vector<std::string> OptionNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      names.push_back("--" + name);
    }
  }
  return names;
}

// What CLI11 did not expect, named with the nearest thing it would have.
std::string UsageMessage(const CLI::ParseError& error, const CLI::App& root,
                         const std::vector<std::string>& args) {
  std::vector<std::string> commands;
  const CLI::App* chosen = nullptr;
  for (const CLI::App* command : root.get_subcommands({})) {
    commands.push_back(command->get_name());
    if (!args.empty() && command->get_name() == args[0]) {
      chosen = command;
    }
  }
  if (args.empty()) {
    return fmt::format("a command is required: {}", fmt::join(commands, ", "));
  }
  if (chosen == nullptr) {
    return fmt::format("'{}' is not a command{}; the commands are {}", args[0],
                       DidYouMean(args[0], commands), fmt::join(commands, ", "));
  }
  const std::vector<std::string> names = OptionNames(*chosen);
  for (std::size_t i = 1; i < args.size(); ++i) {
    const std::string name = args[i].substr(0, args[i].find('='));
    if (name.starts_with("--") && std::find(names.begin(), names.end(), name) == names.end()) {
      return fmt::format("{}: '{}' is not an option{}", args[0], name, DidYouMean(name, names));
    }
  }
  const std::string what = error.what();
  const std::string subject = what.substr(0, what.find(": "));
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    return fmt::format("{}: {} takes exactly one value", args[0], subject);
  }
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    return fmt::format("{}: not expected{}", args[0], what.substr(subject.size()));
  }
  return fmt::format("{}: {}", args[0], what);
}

int Fail(std::ostream& err, const std::string& message, ExitCode code) {
  err << "slicewise: " << message << "\n";
  return static_cast<int>(code);
}

}  // namespace

int Run(const std::vector<std::string>& args, std::ostream& out, std::ostream& err,
        const Terminal& terminal) {
  try {
    CLI::App root("Plans how to partition Transformer inference over a TPU slice.", "slicewise");
    root.set_version_flag("--version", std::string("slicewise ") + SLICEWISE_VERSION);
    root.require_subcommand(1);
    root.get_formatter()->column_width(28);
    const std::vector<cli::Command> commands = {
        cli::AddPlan(root),      cli::AddPareto(root), cli::AddExplain(root),
        cli::AddCapacity(root),  cli::AddVerify(root), cli::AddValidate(root),
        cli::AddCalibrate(root), cli::AddExport(root), cli::AddCheck(root),
        cli::AddDiff(root),      cli::AddList(root)};
    try {
      root.parse(std::vector<std::string>(args.rbegin(), args.rend()));
    } catch (const CLI::ParseError& error) {
      if (error.get_exit_code() == 0) {
        return root.exit(error, out, err);  // --help, --version
      }
      return Fail(err, UsageMessage(error, root, args), ExitCode::kBadInput);
    }
    for (const cli::Command& command : commands) {
      if (command.app->parsed()) {
        return static_cast<int>(command.run({out, err, terminal}));
      }
    }
    return static_cast<int>(ExitCode::kBadInput);
  } catch (const InputError& error) {
    return Fail(err, error.what(), ExitCode::kBadInput);
  } catch (const std::exception& error) {
    return Fail(err, fmt::format("internal error: {}", error.what()), ExitCode::kBadInput);
  }
}

}  // namespace slicewise
