// SPDX-License-Identifier: Apache-2.0
#include "cli/credential.hpp"

#include <fmt/core.h>

#include <string_view>

#include "base/error.hpp"
#include "base/private_file.hpp"
#include "base/process.hpp"

namespace icecore::cli {

namespace {

using base::Fault;

constexpr std::uint64_t k_passphrase_bytes_max = 1024;
constexpr base::Milliseconds k_command_deadline = std::chrono::minutes(2);

// The first line, without its end: editors and `echo` leave one.
repository::Secret first_line(base::ByteView bytes, const std::string& origin) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::string_view line = text.substr(0, text.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) base::fail(Fault::usage, "{} gives an empty passphrase", origin);
  return repository::Secret::copy_of(base::as_bytes(line));
}

repository::Passphrase passphrase_from_file(const std::filesystem::path& path) {
  base::Bytes bytes = base::read_private_file(path, k_passphrase_bytes_max, "passphrase file");
  const base::ScopeExit forget([&] { repository::wipe(bytes); });
  return {first_line(bytes, fmt::format("'{}'", path.string()))};
}

repository::Passphrase passphrase_from_command(const std::string& command, const std::stop_token& stop) {
  base::Command shell{{"/bin/sh", "-c", command}};
  shell.share_terminal = true;
  base::Outcome outcome = base::run(shell, k_command_deadline, stop);
  const base::ByteSpan output = std::as_writable_bytes(std::span(outcome.output));
  const base::ScopeExit forget([&] { repository::wipe(output); });
  if (outcome.exit_code != 0) {
    const std::string said = outcome.error_output.substr(0, outcome.error_output.find('\n'));
    base::fail(Fault::denied, "ICECORE_PASSPHRASE_COMMAND failed with exit code {}: {}", outcome.exit_code, said);
  }
  return {first_line(output, "ICECORE_PASSPHRASE_COMMAND")};
}

}  // namespace

bool names_credential(const CredentialSources& sources) {
  return !sources.key_file.empty() || !sources.passphrase_file.empty() ||
         sources.environment("ICECORE_PASSPHRASE_FILE") || sources.environment("ICECORE_PASSPHRASE_COMMAND");
}

repository::Credential find_credential(const CredentialSources& sources, const std::stop_token& stop) {
  if (!sources.key_file.empty()) return repository::KeyFile{sources.key_file};
  if (!sources.passphrase_file.empty()) return passphrase_from_file(sources.passphrase_file);
  if (const auto file = sources.environment("ICECORE_PASSPHRASE_FILE")) return passphrase_from_file(*file);
  if (const auto command = sources.environment("ICECORE_PASSPHRASE_COMMAND")) {
    return passphrase_from_command(*command, stop);
  }
  return repository::Passphrase{sources.ask()};
}

}  // namespace icecore::cli
