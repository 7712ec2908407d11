// SPDX-License-Identifier: Apache-2.0
// What a job tells while it runs. The CLI draws it; tests ignore it.
#pragma once

#include <cstdint>
#include <string_view>

namespace icecore::job {

struct Transfer {
  std::uint64_t bytes_total = 0;   // to be read (backup) or written (restore); grows while extents are found
  std::uint64_t bytes_done = 0;    // read or written so far
  std::uint64_t bytes_new = 0;     // backup: of these, not yet in the repository
  std::uint64_t bytes_stored = 0;  // backup: what the new ones take after compression and encryption
};

// Any thread calls, a group's members beside each other. Implementations return at once and never throw.
class Progress {
 public:
  virtual ~Progress() = default;
  // A step begins: "freeze", "snapshot", "read vda", "commit", "publish", "write vda", "define".
  virtual void phase(std::string_view domain, std::string_view name) = 0;
  virtual void transfer(const Transfer& transfer) = 0;
  // What a spool is doing with its remote, beside whatever the job does; from any thread. `waiting_for` says why
  // nothing moves, and is empty when it does.
  virtual void upload(std::uint64_t bytes_done, std::uint64_t bytes_total, std::string_view waiting_for) {
    static_cast<void>(bytes_done), static_cast<void>(bytes_total), static_cast<void>(waiting_for);
  }
  // Something a person should know and that is no failure ("disk 'hda' is skipped: it is a CD-ROM drive").
  virtual void note(std::string_view domain, std::string_view text) = 0;
};

class SilentProgress final : public Progress {
 public:
  void phase(std::string_view, std::string_view) override {}
  void transfer(const Transfer&) override {}
  void note(std::string_view, std::string_view) override {}
};

}  // namespace icecore::job
