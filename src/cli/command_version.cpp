// SPDX-License-Identifier: Apache-2.0
// `icecore version`.
#include <fmt/core.h>

#include "cli/commands.hpp"
#include "repository/config.hpp"

namespace icecore::cli {

namespace {

struct VersionOptions {};

ExitCode run(Session& session, const VersionOptions&) {
  if (session.options.json) {
    session.console.print_json({{"version", ICECORE_VERSION}, {"repository_format", repository::k_format_version}});
  } else {
    session.console.print(
        fmt::format("icecore {} (repository format {})", ICECORE_VERSION, repository::k_format_version));
  }
  return ExitCode::ok;
}

}  // namespace

Command make_version_command() {
  return make_command<VersionOptions>(
      {.name = "version",
       .summary = "Print the version",
       .description = "Prints icecore's version and the newest repository format it reads and writes.",
       .examples = {{"icecore version --json", "the same as a record"}},
       .json = {{"version", "icecore's version"}, {"repository_format", "newest format it knows"}}},
      [](WordList&, VersionOptions&) {}, run);
}

}  // namespace icecore::cli
