// SPDX-License-Identifier: Apache-2.0
#include "job/explain_security.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hypervisor/host_security.hpp"

namespace icecore::job {
namespace {

using hypervisor::HostSecurity;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr unsigned long k_debian_12 = 9'000'000;

hypervisor::DomainModel named_web1() {
  hypervisor::DomainModel model;
  model.name = "web1";
  return model;
}

std::vector<ExplainedDisk> one_disk(const std::filesystem::path& folder) {
  ExplainedDisk disk;
  disk.target = "vda";
  disk.room.folder = folder;
  return {disk};
}

TEST(HostSecurity, IsReadFromTheCapabilities) {
  const HostSecurity host = hypervisor::parse_host_security(R"(<capabilities><host>
      <secmodel><model>apparmor</model><doi>0</doi></secmodel>
      <secmodel><model>dac</model><doi>0</doi><baselabel type='kvm'>+64055:+109</baselabel></secmodel>
      </host></capabilities>)");
  EXPECT_TRUE(host.apparmor);
  EXPECT_FALSE(host.selinux);
  ASSERT_TRUE(host.qemu);
  EXPECT_EQ(host.qemu->user, 64055U);
  EXPECT_EQ(host.qemu->group, 109U);
}

TEST(ExplainSecurity, AppArmorBeforeTheFixIsToldWithTheCure) {
  const HostSecurity host{.apparmor = true};
  const auto disks = one_disk("/var/lib/libvirt/images");
  const auto advice = advice_on_labels(host, k_debian_12, named_web1(), disks);
  ASSERT_EQ(advice.size(), 1U);
  EXPECT_THAT(advice[0].hint, HasSubstr("icecore recover web1"));
  EXPECT_THAT(advice[0].hint, HasSubstr("<seclabel type='none' model='apparmor'/>"));
  EXPECT_THAT(advice_on_labels(host, 12'001'000, named_web1(), disks), IsEmpty());
  EXPECT_THAT(advice_on_labels({}, k_debian_12, named_web1(), disks), IsEmpty());
  hypervisor::DomainModel unconfined = named_web1();
  unconfined.unlabelled = {"apparmor"};
  EXPECT_THAT(advice_on_labels(host, k_debian_12, unconfined, disks), IsEmpty());
}

TEST(ExplainSecurity, SelinuxMindsFoldersOfOnesOwn) {
  const HostSecurity host{.selinux = true};
  EXPECT_THAT(advice_on_labels(host, k_debian_12, named_web1(), one_disk("/var/lib/libvirt/images/x")), IsEmpty());
  const auto advice = advice_on_labels(host, k_debian_12, named_web1(), one_disk("/overlays"));
  ASSERT_EQ(advice.size(), 1U);
  EXPECT_THAT(advice[0].hint, HasSubstr("semanage fcontext -a -t virt_image_t '/overlays(/.*)?'"));
}

TEST(ExplainSecurity, AFolderQemuCannotEnterIsNamed) {
  const auto folder = std::filesystem::temp_directory_path() / ("explain-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder / "below");
  std::filesystem::permissions(folder, std::filesystem::perms(0700));
  const HostSecurity host{.qemu = hypervisor::FileOwner{.user = 64'055, .group = 64'055}};
  const auto advice = advice_on_folders(host, one_disk(folder / "below"));
  std::filesystem::remove_all(folder);
  ASSERT_EQ(advice.size(), 1U);
  EXPECT_EQ(advice[0].hint, "chmod o+x " + folder.string());
  EXPECT_THAT(advice_on_folders({}, one_disk("/root/x")), IsEmpty());
}

}  // namespace
}  // namespace icecore::job
