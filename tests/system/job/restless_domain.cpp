// SPDX-License-Identifier: Apache-2.0
#include "system/job/restless_domain.hpp"

#include <gmock/gmock.h>
#include <libvirt/virterror.h>

#include "base/id.hpp"
#include "base/json.hpp"
#include "base/process.hpp"

namespace icecore::system_test {

namespace {

constexpr std::uint64_t k_mib = 1024 * 1024;
constexpr std::uint64_t k_disk_bytes = 24 * k_mib;
constexpr std::uint64_t k_disk_bytes_min = 16 * k_mib;
constexpr std::uint64_t k_sector = 512;
constexpr base::Milliseconds k_tool_deadline{60'000};

rig::DiskOptions disk(const std::string& target, const std::string& bus, const rig::ImageOptions& image) {
  return {.target = target, .bus = bus, .image = image, .driver_attributes = "discard='unmap'"};
}

std::vector<rig::DiskOptions> disks() {
  return {disk("vda", "virtio", {.size = k_disk_bytes}), disk("vdb", "virtio", {.format = "raw", .size = k_disk_bytes}),
          disk("sda", "scsi", {.size = k_disk_bytes, .create_options = {"cluster_size=4k"}})};
}

std::string replaced(std::string text, const std::string& old, const std::string& now) {
  const std::size_t at = text.find(old);
  EXPECT_NE(at, std::string::npos) << old << " is not in " << text;
  return at == std::string::npos ? text : text.replace(at, old.size(), now);
}

void define(const ProtectedDomain& subject, virConnectPtr connection, const std::string& xml) {
  const virDomainPtr defined = ::virDomainDefineXML(connection, xml.c_str());
  ASSERT_NE(defined, nullptr) << subject.domain.name() << ": " << ::virGetLastErrorMessage() << xml;
  ::virDomainFree(defined);
}

}  // namespace

RestlessDomain::RestlessDomain(Dice& dice)
    : subject({.disks = disks(), .kernel = false}),
      dice_(dice),
      uuid_(subject.domain.uuid()),
      targets_({"vda", "vdb", "sda"}) {
  for (const std::string& target : targets_) {
    images_[target] = target;
    sizes_[target] = k_disk_bytes;
  }
}

void RestlessDomain::read_written() {
  for (const std::string& target : targets_) {
    const std::string& image = images_.at(target);
    if (!hashes_.contains(image)) hashes_[image] = subject.domain.hash_disk(target);
  }
}

std::map<std::string, std::string> RestlessDomain::images() const {
  std::map<std::string, std::string> of_disks;
  for (const std::string& target : targets_) of_disks[target] = images_.at(target);
  return of_disks;
}

RestlessDomain::Instant RestlessDomain::instant_of(const std::vector<std::string>& targets) {
  read_written();
  Instant now{.uuid = uuid_, .images = images(), .disks = {}};
  for (const std::string& target : targets) {
    const std::string& image = images_.at(target);
    now.disks[target] = {.size = sizes_.at(image), .hash = hashes_.at(image)};
  }
  return now;
}

bool RestlessDomain::is_laid_out_as(const Instant& then) const { return then.uuid == uuid_ && then.images == images(); }

void RestlessDomain::note_restored(const Instant& then) {
  for (const auto& [target, disk] : then.disks) {
    sizes_.at(then.images.at(target)) = disk.size;
    hashes_[then.images.at(target)] = disk.hash;
  }
}

void RestlessDomain::expect_kept() const {
  for (const std::string& target : targets_) {
    const auto known = hashes_.find(images_.at(target));
    if (known == hashes_.end()) continue;
    EXPECT_EQ(subject.domain.hash_disk(target), known->second) << target << " does not hold what it held";
  }
}

bool RestlessDomain::is_on_overlay(const std::string& target) const {
  if (is_on_home(target)) return false;
  if (!active_image(target).ends_with(".layer.qcow2")) return true;
  const std::string info = base::run_checked(
      {.arguments = {"qemu-img", "info", "-U", "--output=json", active_image(target)}}, k_tool_deadline);
  return base::parse_json(info, "qemu-img info").at("full-backing-filename") != home(target).string();
}

// ---- what the guest does
RestlessDomain::Place RestlessDomain::somewhere() {
  Place place{.target = dice_.one_of(targets_)};
  place.length = (1 + dice_.below(dice_.below(8) == 0 ? 4096 : 64)) * k_sector;
  place.offset = dice_.below((size_of(place.target) - place.length) / k_sector + 1) * k_sector;
  dice_.tell(" {} {}+{}", place.target, place.offset, place.length);
  return place;
}

void RestlessDomain::write_pattern(unsigned char pattern) {
  const auto [target, offset, length] = somewhere();
  dice_.tell(" {:#x}", pattern);
  const bool runs = subject.domain.is_running();
  if (!runs && is_on_overlay(target)) return;
  note_written(target);
  if (runs) return subject.domain.monitor_write(target, offset, length, pattern);
  rig::write_pattern(active_image(target), active_format(target), offset, length, pattern);
}

void RestlessDomain::discard() {
  const auto [target, offset, length] = somewhere();
  const bool runs = subject.domain.is_running();
  if (!runs && is_on_overlay(target)) return;
  note_written(target);
  if (runs) return subject.domain.monitor_discard(target, offset, length);
  rig::discard(active_image(target), active_format(target), offset, length);
}

// ---- what its owner does
std::uint64_t RestlessDomain::some_size() { return (1 + dice_.below(64)) * 64 * k_sector; }

void RestlessDomain::grow() {
  const std::string target = dice_.one_of(targets_);
  if (is_on_overlay(target)) return;
  const std::uint64_t size = size_of(target) + some_size();
  if (!subject.domain.is_running()) return resize(target, {}, size);
  dice_.tell(" {} to {}", target, size);
  if (::virDomainBlockResize(subject.domain.handle(), target.c_str(), size, VIR_DOMAIN_BLOCK_RESIZE_BYTES) != 0) {
    EXPECT_THAT(::virGetLastErrorMessage(), testing::HasSubstr("is inconsistent")) << target;
    return dice_.tell(" refused");
  }
  size_of(target) = size;
  note_written(target);
}

void RestlessDomain::shrink() {
  const std::string target = dice_.one_of(targets_);
  if (subject.domain.is_running() || !is_on_home(target)) return;
  resize(target, {"--shrink"}, std::max(size_of(target) - some_size(), k_disk_bytes_min));
}

// qemu-img refuses where a killed QEMU left a bitmap in use, as QEMU does in grow().
void RestlessDomain::resize(const std::string& target, const std::vector<std::string>& words, std::uint64_t size) {
  dice_.tell(" {} to {}", target, size);
  std::vector<std::string> command = {"qemu-img", "resize", "-q", "-f", active_format(target)};
  command.insert(command.end(), words.begin(), words.end());
  command.insert(command.end(), {active_image(target), std::to_string(size)});
  if (base::run({.arguments = command}, k_tool_deadline).exit_code != 0) {
    return dice_.tell(" refused");
  }
  size_of(target) = size;
  note_written(target);
}

void RestlessDomain::exchange_image() {
  const std::string target = dice_.one_of(targets_);
  if (subject.domain.is_running() || is_on_overlay(target)) return;
  const std::filesystem::path path = home(target);
  std::filesystem::copy_file(path, path.string() + ".other");
  rig::write_pattern(path.string() + ".other", home_format(target), dice_.below(64) * 16 * k_sector, 64 * k_sector,
                     static_cast<unsigned char>(dice_.below(256)));
  std::filesystem::rename(path.string() + ".other", path);
  note_written(target);
  dice_.tell(" {}", target);
}

std::string RestlessDomain::element_of(const std::string& target) const {
  const std::string xml = subject.domain.inactive_xml();
  const std::size_t at = xml.find("<target dev='" + target + "'");
  const std::size_t from = xml.rfind("<disk ", at);
  const std::string end = "</disk>";
  return xml.substr(from, xml.find(end, at) + end.size() - from);
}

// The two that are of different formats and buses.
void RestlessDomain::exchange_targets() {
  if (subject.domain.is_running() || !detached_.empty() || !is_on_home("vdb") || !is_on_home("sda")) return;
  const auto with_image_of = [&](const std::string& target, const std::string& other) {
    const std::string typed =
        replaced(element_of(target), "type='" + home_format(target) + "'", "type='" + home_format(other) + "'");
    return replaced(typed, home(target).string(), home(other).string());
  };
  const std::string first = element_of("vdb");
  const std::string second = element_of("sda");
  std::string xml = replaced(subject.domain.inactive_xml(), first, "HERE");
  xml = replaced(xml, second, with_image_of("sda", "vdb"));
  xml = replaced(xml, "HERE", with_image_of("vdb", "sda"));
  define(subject, ::virDomainGetConnect(subject.domain.handle()), xml);
  std::swap(images_.at("vdb"), images_.at("sda"));
}

// Only SCSI lets one go whose guest does not run. Somebody may write to it meanwhile.
void RestlessDomain::detach_or_attach() {
  unsigned flags = VIR_DOMAIN_AFFECT_CONFIG;
  if (subject.domain.is_running()) flags |= VIR_DOMAIN_AFFECT_LIVE;
  if (!detached_.empty()) {
    ASSERT_EQ(::virDomainAttachDeviceFlags(subject.domain.handle(), detached_.c_str(), flags), 0)
        << ::virGetLastErrorMessage();
    detached_.clear();
    targets_.push_back("sda");
    return dice_.tell(" attached");
  }
  if (!is_on_home("sda")) return;
  const std::string element = element_of("sda");
  ASSERT_EQ(::virDomainDetachDeviceFlags(subject.domain.handle(), element.c_str(), flags), 0)
      << ::virGetLastErrorMessage();
  detached_ = element;
  std::erase(targets_, "sda");
  dice_.tell(" detached");
  if (dice_.below(2) != 0) return;
  rig::write_pattern(home("sda"), home_format("sda"), dice_.below(128) * 64 * k_sector, 64 * k_sector, 0x3c);
  note_written("sda");
}

// A checkpoint that a killed backup left keeps libvirt from undefining it until the next recovery.
void RestlessDomain::define_anew(bool with_another_uuid) {
  if (subject.domain.is_running()) return;
  std::string xml = subject.domain.inactive_xml();
  std::string uuid = uuid_;
  if (with_another_uuid) {
    for (const std::string& target : targets_) {
      if (!is_on_home(target)) return;
    }
    const std::size_t from = xml.find("<uuid>") + 6;
    uuid = base::random_uuid();
    xml.replace(from, xml.find("</uuid>") - from, uuid);
  }
  if (::virDomainUndefine(subject.domain.handle()) != 0) return dice_.tell(" refused");
  define(subject, ::virDomainGetConnect(subject.domain.handle()), xml);
  subject.domain.reconnect();
  uuid_ = uuid;
}

void RestlessDomain::kill_qemu() {
  if (subject.domain.is_running()) subject.domain.kill_qemu();
  if (dice_.below(2) == 0) subject.domain.start_paused();
}

void RestlessDomain::run_vcpus(bool run) {
  ASSERT_EQ(run ? ::virDomainResume(subject.domain.handle()) : ::virDomainSuspend(subject.domain.handle()), 0)
      << ::virGetLastErrorMessage();
}

void RestlessDomain::stop_or_start() {
  if (subject.domain.is_running()) return subject.domain.destroy();
  subject.domain.start_paused();
}

}  // namespace icecore::system_test
