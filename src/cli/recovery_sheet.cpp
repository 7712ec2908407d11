// SPDX-License-Identifier: Apache-2.0
#include "cli/recovery_sheet.hpp"

#include <fmt/core.h>

#include "base/handle.hpp"
#include "cli/point_output.hpp"
#include "repository/key_lines.hpp"

namespace icecore::cli {

// Steps have letters: a digit and a colon begin a line of the key (repository/key_lines.hpp).
std::string format_recovery_sheet(const SheetFacts& facts, const repository::Secret& key) {
  std::string lines = repository::format_key_lines(key);
  const base::ScopeExit forget([&] { repository::wipe(std::as_writable_bytes(std::span(lines))); });
  return fmt::format(
      R"(ICECORE RECOVERY SHEET

Whoever has this sheet and can read the repository can read every backup.

  repository     {url}
  repository id  {id}
  made           {created}
  key slot       {slot}
  this sheet     {made}, on {host}

KEY

{lines}
TO RESTORE, from nothing but the repository and this sheet

a) Take a machine with libvirt and install icecore on it.
b) Have what opens the storage itself, such as an SSH key for its server:
   that is not on this sheet.
c) Type the four lines of the key into a file, /root/sheet.key. Spaces and
   capital letters do not matter. The four digits behind the dash are a
   checksum: icecore names the line that has a typing error.
d) Type:
     chmod 600 /root/sheet.key
     export ICECORE_KEY_FILE=/root/sheet.key
     export ICECORE_REPOSITORY={url}
     icecore key list
   The repository id must be the one above, and slot {short} be marked.
   A sheet whose slot is not in that list opens nothing.
e) See what there is, and bring it back:
     icecore list
     icecore restore DOMAIN --to /var/lib/libvirt/images --start
f) Make a key for every day: icecore key add --new-key-file /root/icecore.key

If this sheet is lost or was seen by somebody: icecore key remove {short}
)",
      fmt::arg("url", facts.url), fmt::arg("id", facts.repository_id),
      fmt::arg("created", point_time(facts.repository_created)), fmt::arg("slot", facts.slot),
      fmt::arg("made", point_time(facts.made)), fmt::arg("host", facts.host), fmt::arg("lines", lines),
      fmt::arg("short", short_id(facts.slot)));
}

}  // namespace icecore::cli
