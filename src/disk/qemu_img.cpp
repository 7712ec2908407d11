// SPDX-License-Identifier: Apache-2.0
#include "disk/qemu_img.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/process.hpp"

namespace icecore::disk {

namespace {

using base::Fault;

struct Complaint {
  std::string_view part;  // of QEMU's message
  Fault fault;
};

// First match wins. QEMU has no error codes: its words are all there is.
constexpr std::array k_complaints = {
    Complaint{"No such file", Fault::not_found},
    Complaint{"Permission denied", Fault::denied},
    Complaint{"Operation not permitted", Fault::denied},
    Complaint{" lock", Fault::busy},
    Complaint{"No space left", Fault::no_space},
    Complaint{"Disk quota", Fault::no_space},
    Complaint{"File too large", Fault::no_space},
    Complaint{"mage is not in ", Fault::conflict},
    Complaint{"Invalid password", Fault::denied},
    Complaint{"corrupt", Fault::corrupt},
    Complaint{"too large", Fault::corrupt},
    Complaint{"nvalid", Fault::corrupt},
    Complaint{"nsupported", Fault::corrupt},
};

// "qemu-img: Could not open '/a': Could not open '/a': No such file" -> "Could not open '/a': No such file"
std::string essence(std::string_view error_text) {
  std::string_view line = error_text.substr(0, error_text.find('\n'));
  for (const std::string_view program : {"qemu-img: ", "qemu-nbd: "}) {
    if (line.starts_with(program)) line.remove_prefix(program.size());
  }
  for (std::size_t at = line.find(": "); at != std::string_view::npos; at = line.find(": ", at + 2)) {
    if (line.substr(at + 2).starts_with(line.substr(0, at))) line.remove_prefix(at + 2), at = 0;
  }
  return std::string(line);
}

std::string run_qemu_img(const base::Command& command, std::string_view what, base::Milliseconds deadline,
                         std::stop_token stop) {
  base::Outcome outcome = base::run(command, deadline, std::move(stop));
  if (outcome.exit_code == 127 && outcome.error_output.empty()) {
    base::Error error(Fault::unavailable, fmt::format("cannot {}: qemu-img is not installed", what));
    throw error.add_hint("apt-get install qemu-utils");
  }
  if (outcome.exit_code != 0) fail_as_qemu_said(outcome.error_output, what);
  return std::move(outcome.output);
}

}  // namespace

std::string qemu_path(const std::filesystem::path& path) { return std::filesystem::absolute(path).string(); }

void fail_as_qemu_said(std::string_view error_text, std::string_view what) {
  const std::string said = error_text.empty() ? "no reason was given" : essence(error_text);
  Fault fault = Fault::unavailable;
  for (const Complaint& complaint : k_complaints) {
    if (error_text.find(complaint.part) == std::string_view::npos) continue;
    fault = complaint.fault;
    break;
  }
  base::Error error(fault, fmt::format("cannot {}: {}", what, said));
  if (fault == Fault::busy)
    error.add_hint(
        "a QEMU on this host or another has the image open: stop it there, or let it come back here, then try again");
  throw error;
}

std::string qemu_img(std::vector<std::string> arguments, std::string_view what, base::Milliseconds deadline,
                     std::stop_token stop) {
  arguments.insert(arguments.begin(), "qemu-img");
  return run_qemu_img({.arguments = std::move(arguments)}, what, deadline, std::move(stop));
}

std::string qemu_img(std::vector<std::string> arguments, const base::Passphrase& key, std::string_view what,
                     base::Milliseconds deadline, std::stop_token stop) {
  arguments.insert(arguments.begin() + 1, {"--object", fmt::format("secret,id={},file=/dev/stdin", k_key_object)});
  arguments.insert(arguments.begin(), "qemu-img");
  base::Command command{.arguments = std::move(arguments), .input = key.text()};
  const base::ScopeExit forget([&] { base::wipe(command.input); });
  return run_qemu_img(command, what, deadline, std::move(stop));
}

void require_readable(const std::filesystem::path& path, std::string_view format) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  if (format.empty() || !std::all_of(format.begin(), format.end(), plain)) {
    base::fail(Fault::usage, "image '{}': '{}' is not an image format", path.string(), format);
  }
  std::error_code unreachable;  // of which qemu-img says why
  if (std::filesystem::is_directory(path, unreachable))
    base::fail(Fault::usage, "image '{}' is a folder", path.string());
  if (::access(path.c_str(), R_OK) != 0) base::fail_errno(errno, fmt::format("open image '{}'", path.string()));
}

}  // namespace icecore::disk
