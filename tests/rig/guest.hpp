// SPDX-License-Identifier: Apache-2.0
// The inside of a running test domain, through its guest agent: run programs, write and check files, be quiet.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "rig/guest/chain_log.hpp"
#include "rig/test_domain.hpp"

namespace icecore::rig {

struct GuestOutcome {
  int exit_code = 0;
  std::string output;        // standard output
  std::string error_output;  // standard error
};

class Guest {
 public:
  // The domain must outlive it.
  explicit Guest(TestDomain& domain) : domain_(&domain) {}

  // Returns once the agent answers: the disks are mounted then.
  void wait_agent(base::Milliseconds deadline = base::Milliseconds(90'000));
  bool agent_answers();
  // {"execute": ...} to the agent; its "return". Throws what libvirt says.
  base::Json agent(const base::Json& command, int timeout_seconds = 10);

  // Runs a program of the guest to its end.
  GuestOutcome run(const std::vector<std::string>& arguments, base::Milliseconds deadline = base::Milliseconds(60'000));
  // As run() of `sh -c`, and a non-zero exit code throws; returns the output.
  std::string shell(const std::string& command, base::Milliseconds deadline = base::Milliseconds(60'000));

  // A file with this content, synced. The first disk's ext4 is /mnt.
  void write_file(const std::string& path, const std::string& content);
  // path -> SHA-256 of every file below a folder.
  std::map<std::string, std::string> checksums(const std::string& folder = "/mnt");

  // An endless checksummed log, synced every `records_per_sync` records, until the guest or it is stopped.
  void start_writer(const std::string& path = "/mnt/log", unsigned records_per_sync = 1);
  // The same in two files at once, whose file systems may be on two disks: each record is synced in the first, then
  // written to the second and synced there.
  void start_paired_writer(const std::string& first, const std::string& second);
  void stop_writer();
  // What the log holds, read in the guest.
  ChainState check_log(const std::string& path = "/mnt/log");

  // From about a second later on, for that long, the agent hears nothing (SIGSTOP), then goes on.
  void hang_agent(base::Milliseconds length);
  // The agent's answer to guest-fsfreeze-status: "thawed" or "frozen".
  std::string freeze_status();
  // Clean shutdown through the agent; returns when the domain is off.
  void shut_down(base::Milliseconds deadline = base::Milliseconds(30'000));

 private:
  TestDomain* domain_;
};

// Whether the image's ext4 was frozen or unmounted: its journal holds nothing to replay, and e2fsck finds nothing to
// repair.
bool file_system_is_clean(const std::filesystem::path& image, const std::string& format);

// What the log in a restored image holds, read as a guest would see it: after the journal was replayed.
ChainState read_log(const std::filesystem::path& image, const std::string& format, const std::string& path = "/log");

}  // namespace icecore::rig
