// SPDX-License-Identifier: Apache-2.0
// What QEMU on this host can do, as libvirt tells it; nothing is started.
#include "hypervisor/compatibility.hpp"

#include "system/hypervisor/hypervisor_case.hpp"

namespace icecore::hypervisor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* k_uri = "qemu:///system";
constexpr const char* k_fine = "<cpu mode='custom' match='exact' check='full'><model>qemu64</model></cpu>";
// Of no host, and of another one than QEMU emulates without KVM.
constexpr const char* k_unknown = "<cpu mode='custom' match='exact'><model>No-Such-CPU</model></cpu>";
constexpr const char* k_foreign = "<cpu mode='custom' match='exact' check='full'><model>Skylake-Server</model></cpu>";

std::string domain_xml(const std::string& cpu, const std::string& vcpus = "1", const std::string& machine = "q35") {
  return fmt::format(
      "<domain type='qemu'><name>x</name><vcpu>{}</vcpu><os><type arch='x86_64' machine='{}'>hvm</type></os>{}"
      "<devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices></domain>",
      vcpus, machine, cpu);
}

std::vector<std::string> texts(const std::vector<Finding>& findings, bool blocks) {
  std::vector<std::string> found;
  for (const Finding& finding : findings) {
    EXPECT_FALSE(finding.cure.empty());
    if (finding.blocks == blocks) found.push_back(finding.what);
  }
  return found;
}

class HypervisorCompatibility : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("libvirt", "qemu"); }

  std::vector<std::string> check(const std::string& xml, bool blocks = true) {
    return texts(check_compatibility(connection, xml), blocks);
  }
  std::vector<std::string> resume(const std::string& cpu, bool other_host, bool blocks = true) {
    const std::string xml = domain_xml(cpu);
    return texts(check_resume(connection, xml, xml, other_host), blocks);
  }

  Connection connection{k_uri};
};

TEST_F(HypervisorCompatibility, MachineCpuAndVcpusAreCompared) {
  EXPECT_THAT(check(domain_xml(k_fine)), IsEmpty());
  EXPECT_THAT(check(domain_xml(k_fine), false), IsEmpty());
  EXPECT_THAT(check(domain_xml(k_fine, "1", "pc-q35-99.9")), ElementsAre(HasSubstr("pc-q35-99.9")));
  EXPECT_THAT(check(domain_xml(k_fine, "9999")), ElementsAre(HasSubstr("9999 vCPUs")));
  EXPECT_THAT(check(domain_xml(k_unknown)), ElementsAre(HasSubstr("'No-Such-CPU' is not known here")));
  // libvirt emulates what it can of a known one.
  EXPECT_THAT(check(domain_xml(k_foreign)), IsEmpty());
  EXPECT_THAT(check(domain_xml(k_foreign), false), ElementsAre(HasSubstr("'Skylake-Server'")));
}

// A guest that goes on has seen all of its CPU.
TEST_F(HypervisorCompatibility, ASavedGuestNeedsTheCpuItHad) {
  EXPECT_THAT(resume(k_fine, true), IsEmpty());
  EXPECT_THAT(resume(k_fine, true, false), IsEmpty());
  EXPECT_THAT(resume(k_foreign, false), ElementsAre(HasSubstr("'Skylake-Server'")));
  EXPECT_THAT(resume(k_unknown, false), ElementsAre(HasSubstr("'No-Such-CPU'")));
  EXPECT_THAT(resume("<cpu mode='host-passthrough'/>", false, false), IsEmpty());
  EXPECT_THAT(resume("<cpu mode='host-passthrough'/>", true, false), ElementsAre(HasSubstr("host-passthrough")));
}

}  // namespace
}  // namespace icecore::hypervisor
