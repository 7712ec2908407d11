// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/full_state.hpp"

#include <algorithm>
#include <charconv>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {

namespace {

// Device states, video memory and what libvirt writes in front.
constexpr std::uint64_t k_beside_ram = 64 * base::k_mib;

class Look {
 public:
  explicit Look(XmlNode domain) : domain_(domain), devices_(domain.child("devices")) {}

  FullStateNeeds run() {
    look_at_cpu();
    look_at_host_devices();
    look_at_disks();
    for (const XmlNode& folder : devices_.children("filesystem")) look_at_folder(folder);
    for (const XmlNode& video : devices_.children("video")) look_at_video(video);
    for (const XmlNode& memory : devices_.children("shmem")) look_at_shared_memory(memory);
    if (domain_.child("launchSecurity")) block("its memory is encrypted against the host (launchSecurity)");
    needs_.memory_bytes = memory_bytes() + k_beside_ram;
    needs_.emulated = domain_.attribute("type") == "qemu";
    return std::move(needs_);
  }

 private:
  void block(std::string why) { needs_.blockers.push_back(std::move(why)); }

  // A CPU whose time stamp counter must not change its pace can go on elsewhere only at a known one.
  void look_at_cpu() {
    const XmlNode cpu = domain_.child("cpu");
    if (cpu.attribute("migratable") == "off") block("its CPU is not migratable (migratable='off')");
    const auto features = cpu.children("feature");
    const bool invariant = std::any_of(features.begin(), features.end(), [](const XmlNode& feature) {
      const std::string rule = feature.attribute("policy");
      return feature.attribute("name") == "invtsc" && rule != "disable" && rule != "forbid";
    });
    const auto timers = domain_.child("clock").children("timer");
    const bool known_pace = std::any_of(timers.begin(), timers.end(), [](const XmlNode& timer) {
      return timer.attribute("name") == "tsc" && !timer.attribute("frequency").empty();
    });
    if (invariant && !known_pace) block("its CPU has the feature invtsc without a TSC frequency");
  }

  void look_at_host_devices() {
    for (const XmlNode& device : devices_.children("hostdev"))
      block(fmt::format("it has a host device passed through (hostdev, {})", device.attribute("type")));
    for (const XmlNode& card : devices_.children("interface")) {
      const std::string type = card.attribute("type");
      if (type == "hostdev" || type == "vdpa") block(fmt::format("it has a network card of the host's ({})", type));
    }
  }

  void look_at_disks() {
    for (const XmlNode& disk : devices_.children("disk")) {
      const std::string target = disk.child("target").attribute("dev");
      if (disk.child("transient")) block(fmt::format("its disk {} is transient", target));
      if (disk.attribute("type") == "nvme") block(fmt::format("its disk {} is an NVMe device of the host's", target));
      if (disk.child("mirror")) block(fmt::format("its disk {} has an active block job", target));
      // QEMU may fail an assertion when overlays that exist already come with saved memory (qemu-project issue 2980).
      if (disk.child("encryption") || disk.child("source").child("encryption"))
        block(fmt::format("its disk {} is encrypted by QEMU, whose overlay has to be there before", target));
    }
  }

  void look_at_folder(const XmlNode& folder) {
    if (folder.child("driver").attribute("type") == "virtiofs")
      block(fmt::format("it shares the folder '{}' by virtiofs", folder.child("source").attribute("dir")));
  }

  // "virgl is not yet migratable" (QEMU, hw/display/virtio-gpu-gl.c).
  void look_at_video(const XmlNode& video) {
    if (video.child("model").child("acceleration").attribute("accel3d") == "yes")
      block("its video card is accelerated by the host (accel3d)");
  }

  void look_at_shared_memory(const XmlNode& memory) {
    if (memory.attribute("role") != "master")
      block(fmt::format("it shares the memory '{}' with others (shmem)", memory.attribute("name")));
  }

  // libvirt writes it in KiB.
  std::uint64_t memory_bytes() const {
    const std::string text = domain_.child("memory").text();
    std::uint64_t kib = 0;
    std::from_chars(text.data(), text.data() + text.size(), kib);
    return kib * base::k_kib;
  }

  XmlNode domain_;
  XmlNode devices_;
  FullStateNeeds needs_;
};

}  // namespace

FullStateNeeds full_state_needs(std::string_view live_xml) {
  const XmlDocument document = XmlDocument::parse(live_xml, "the domain's XML");
  return Look(document.root()).run();
}

bool misses_writes(unsigned long qemu_version) noexcept {
  constexpr unsigned long k_cured = 9'000'000;
  return qemu_version < k_cured;
}

}  // namespace icecore::hypervisor
