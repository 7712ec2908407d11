// SPDX-License-Identifier: Apache-2.0
#include "cli/exit_code.hpp"

#include <array>

namespace icecore::cli {

std::span<const ExitCodeMeaning> exit_codes() noexcept {
  static constexpr std::array k_table = {
      ExitCodeMeaning{ExitCode::ok, "done"},
      ExitCodeMeaning{ExitCode::failure, "failed in a way that has no code of its own"},
      ExitCodeMeaning{ExitCode::usage, "the command line, a policy file or the version of icecore does not fit"},
      ExitCodeMeaning{ExitCode::partial, "of several domains or jobs, at least one failed"},
      ExitCodeMeaning{ExitCode::not_found, "no such domain, disk, restore point, repository or file"},
      ExitCodeMeaning{ExitCode::busy, "somebody else is working on it; try again later"},
      ExitCodeMeaning{ExitCode::unavailable, "libvirt, a guest agent or a device does not answer"},
      ExitCodeMeaning{ExitCode::denied, "no permission, or the wrong key or passphrase"},
      ExitCodeMeaning{ExitCode::corrupt, "stored bytes are not what was written"},
      ExitCodeMeaning{ExitCode::no_space, "a file system is full"},
      ExitCodeMeaning{ExitCode::conflict, "the world is not as recorded; a person has to look"},
      ExitCodeMeaning{ExitCode::cancelled, "stopped by Ctrl-C or SIGTERM, cleanly"},
  };
  return k_table;
}

ExitCode exit_code_of(base::Fault fault) noexcept {
  switch (fault) {
    case base::Fault::usage: return ExitCode::usage;
    case base::Fault::not_found: return ExitCode::not_found;
    case base::Fault::busy: return ExitCode::busy;
    case base::Fault::unavailable: return ExitCode::unavailable;
    case base::Fault::no_space: return ExitCode::no_space;
    case base::Fault::denied: return ExitCode::denied;
    case base::Fault::corrupt: return ExitCode::corrupt;
    case base::Fault::conflict: return ExitCode::conflict;
    case base::Fault::cancelled: return ExitCode::cancelled;
    case base::Fault::internal: return ExitCode::failure;
  }
  return ExitCode::failure;
}

}  // namespace icecore::cli
