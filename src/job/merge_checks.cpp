// SPDX-License-Identifier: Apache-2.0
#include "job/merge_checks.hpp"

#include <fmt/format.h>

#include "base/error.hpp"
#include "base/shell_word.hpp"
#include "disk/image.hpp"
#include "disk/offline_commit.hpp"

namespace icecore::job {

using base::Fault;

void expect_room_in_device(const MergePair& pair) {
  if (pair.base_format != "raw" || !std::filesystem::is_block_file(pair.base) || !std::filesystem::exists(pair.overlay))
    return;
  const std::uint64_t device = disk::inspect_image(pair.base, pair.base_format).virtual_size;
  const std::uint64_t overlay = disk::inspect_image(pair.overlay, "qcow2").virtual_size;
  if (overlay <= device) return;
  base::Error error(Fault::conflict,
                    fmt::format("disk '{}' was resized to {} bytes on its overlay, but its device '{}' has {}",
                                pair.target, overlay, pair.base.string(), device));
  throw error.add_hint(
      fmt::format("make the device as large (an LVM volume: lvextend -L {}b {}), then: icecore recover", overlay,
                  base::shell_word(pair.base.string())));
}

void refuse_saved_on(hypervisor::Domain& domain, std::string_view images, const std::function<bool()>& ran_on_them) {
  const bool managed = domain.has_managed_save();
  if (!managed && (domain.how_shut_off() != hypervisor::ShutOff::saved || !ran_on_them())) return;
  const std::string name = base::shell_operand(domain.name());
  base::Error error(Fault::conflict, fmt::format("domain '{}' was saved on its {} ({}), so that they cannot be merged "
                                                 "before it runs again",
                                                 domain.name(), images, managed ? "managed save" : "virsh save"));
  // A start ends what libvirt knows of the save, and what was saved fits the disks no more.
  const std::string run = managed ? "virsh start " + name
                                  : "virsh restore FILE, or, only if that is of no use any more, virsh start " + name;
  throw error.add_hint(fmt::format("{}; icecore recover {}", run, name));
}

void refuse_internal_snapshots(const MergePair& pair, const std::string& domain) {
  const std::vector<std::string> names = disk::inspect_image(pair.overlay, "qcow2").internal_snapshots;
  if (names.empty()) return;
  base::Error error(Fault::conflict,
                    fmt::format("disk '{}': internal snapshots ({}) were made while domain '{}' was on its overlay "
                                "'{}', and would be lost with it",
                                pair.target, fmt::join(names, ", "), domain, pair.overlay.string()));
  const std::string name = base::shell_operand(domain);
  throw error.add_hint(
      fmt::format("virsh snapshot-delete {0} {1}; icecore recover {0}", name, base::shell_word(names.front())));
}

void require_merged(const MergePair& pair, const std::string& domain, const std::optional<base::Passphrase>& key,
                    std::stop_token stop) {
  if (disk::shows_its_base(pair.overlay, pair.base, pair.base_format, std::move(stop), key ? &*key : nullptr)) return;
  base::Error error(Fault::conflict,
                    fmt::format("disk '{}': its overlay '{}' was merged into '{}' or was about to be, and one of them "
                                "was written to since: it is not known which",
                                pair.target, pair.overlay.string(), pair.base.string()));
  throw error.add_hint(
      fmt::format("look into both (guestfish --ro -a FILE). If the overlay is the newer: qemu-img commit {}. Then name "
                  "the base in `virsh edit {}`, and run `icecore recover` again",
                  base::shell_word(pair.overlay.string()), domain));
}

}  // namespace icecore::job
