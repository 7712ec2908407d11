// SPDX-License-Identifier: Apache-2.0
// A point with memory as a second domain: libvirt resumes a memory under its own name and UUID alone, so that the copy
// boots from its disks.
#include <gtest/gtest.h>

#include "rig/guest.hpp"
#include "rig/requirements.hpp"
#include "rig/xml_query.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

constexpr const char* k_boot_id = "cat /proc/sys/kernel/random/boot_id";

class FullStateCopy : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore", "guest"); }

  // With an ext4 that the guest mounts at /mnt.
  static rig::DomainOptions with_file_system() {
    rig::DomainOptions options;
    options.disks = {{.image = {.file_system = true}}};
    return options;
  }
  static void expect_no_memory_file(const ProtectedDomain& subject) {
    for (const auto& file : std::filesystem::recursive_directory_iterator(subject.domain.folder()))
      EXPECT_NE(file.path().extension(), ".save") << file.path();
  }
};

// The way out that the refusal of the new name tells.
TEST_F(FullStateCopy, WithoutItsMemoryItBootsBesideTheRunningOriginal) {
  ProtectedDomain subject(with_file_system());
  subject.init();
  subject.domain.start();
  rig::Guest guest(subject.domain);
  guest.wait_agent();
  guest.write_file("/mnt/before", "of the point");
  const std::string boot_id = guest.shell(k_boot_id);
  const auto before = guest.checksums();
  subject.must({"backup", subject.domain.name(), "--full-state"});
  guest.write_file("/mnt/later", "of the original alone");
  const auto later = guest.checksums();

  const std::string name = subject.domain.name() + "-copy";
  const std::filesystem::path folder = subject.domain.folder() / "copy";
  subject.domain.undo().domain(name);
  const base::Json restored =
      subject.must({"restore", "latest", "--as", name, "--to", folder, "--discard-memory", "--start", "--json"}).json();
  EXPECT_EQ(restored.at("with_memory"), false);

  const std::filesystem::path disk = folder / (name + ".vda.qcow2");
  rig::TestDomain copy({.disks = {{.existing = disk}}, .name = name});
  rig::Guest inside(copy);
  inside.wait_agent();
  EXPECT_EQ(copy.live_source(), disk);
  EXPECT_NE(rig::xml_value(copy.live_xml(), "/domain/uuid"), rig::xml_value(subject.domain.live_xml(), "/domain/uuid"));
  EXPECT_NE(inside.shell(k_boot_id), boot_id) << "it booted";
  EXPECT_EQ(inside.checksums(), before);
  inside.write_file("/mnt/mine", "of the copy alone");

  EXPECT_EQ(guest.shell(k_boot_id), boot_id) << "the original runs on";
  EXPECT_EQ(guest.checksums(), later);
  subject.expect_at_rest();
  expect_no_memory_file(subject);
}

}  // namespace
}  // namespace icecore::system_test
