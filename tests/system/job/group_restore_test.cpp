// SPDX-License-Identifier: Apache-2.0
// The points of a group, restored together.
#include <gmock/gmock.h>
#include <sys/mount.h>

#include "system/job/group_case.hpp"

namespace icecore::system_test {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t k_mib = 1024 * 1024;

class GroupRestore : public GroupCase {};

TEST_F(GroupRestore, BringsAllBack) {
  start_paused();
  first->domain.monitor_write("vda", 3 * k_mib, k_mib, 0x31);
  second->domain.monitor_write("vda", 5 * k_mib, k_mib, 0x32);
  first->must(words({}));
  first->domain.destroy();
  second->domain.destroy();
  const std::string one = disk_hash(*first);
  const std::string two = disk_hash(*second);
  start_paused();
  first->domain.monitor_write("vda", 3 * k_mib, k_mib, 0x41);
  second->domain.monitor_write("vda", 5 * k_mib, k_mib, 0x42);
  EXPECT_THAT(first->run({"restore", "latest", "--group", "--replace"}).error_output, HasSubstr("is running"));
  second->domain.destroy();
  EXPECT_THAT(first->run({"restore", "latest", "--group", "--replace"}).error_output, HasSubstr("is running"));
  EXPECT_NE(disk_hash(*second), two) << "nothing is written before all can be";
  first->domain.destroy();
  const base::Json report = first->must({"restore", "latest", "--group", "--replace", "--json"}).json();
  EXPECT_EQ(report.at("members").size(), 2U);
  EXPECT_EQ(disk_hash(*first), one);
  EXPECT_EQ(disk_hash(*second), two);
  EXPECT_EQ(first->run({"restore", "latest", "--group", "--as", "x"}).exit_code, 2);
}

TEST_F(GroupRestore, OfThreeElsewhereStartsThem) {
  ProtectedDomain third;
  third.domain.start_paused();
  start_paused();
  first->must(words({third.domain.name()}));
  const std::vector<const ProtectedDomain*> all = {&*first, &*second, &third};
  const std::filesystem::path folder = first->domain.folder() / "elsewhere";
  const std::vector<std::string> restore = {"restore", "latest", "--group", "--to", folder, "--start"};
  for (const ProtectedDomain* of : all) {
    EXPECT_THAT(first->run(restore).error_output, HasSubstr(of->domain.name())) << "its name is not free";
    virDomainDestroy(of->domain.handle());
    virDomainUndefine(of->domain.handle());
  }
  const rig::IcecoreOutcome dry = first->must({"restore", "latest", "--group", "--to", folder, "--start", "--dry-run"});
  EXPECT_FALSE(std::filesystem::exists(folder));
  for (const ProtectedDomain* of : all)
    EXPECT_THAT(dry.output, HasSubstr((folder / (of->domain.name() + ".vda.qcow2")).string()));
  const base::Json members =
      first->must({"restore", "latest", "--group", "--to", folder, "--start", "--json"}).json().at("members");
  ASSERT_EQ(members.size(), all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(members[i].at("started"), true);
    EXPECT_EQ(virDomainIsActive(all[i]->domain.handle()), 1) << all[i]->domain.name();
  }
}

// A network is seldom one of every member's.
TEST_F(GroupRestore, PutsEachMembersInterfacesOntoOtherNetworks) {
  const auto with_card = [&](std::optional<ProtectedDomain>& member, const std::string& bridge) {
    rig::DomainOptions options{.disks = {{.image = {.file_system = true}}}};
    options.devices_xml = "<interface type='bridge'><source bridge='" + bridge + "'/></interface>";
    member.emplace(options);
  };
  with_card(first, "icecore-a");
  with_card(second, "icecore-b");
  first->init();
  share_repository();
  first->must(words({}));
  for (const ProtectedDomain* of : {&*first, &*second}) virDomainUndefine(of->domain.handle());
  const std::filesystem::path folder = first->domain.folder() / "elsewhere";
  std::vector<std::string> restore = {"restore", "latest", "--group", "--to", folder};
  for (const char* mapping : {"icecore-a=bridge:lo", "icecore-b=bridge:lo", "icecore-z=bridge:lo"})
    restore.insert(restore.end(), {"--map-network", mapping});
  const rig::IcecoreOutcome unknown = first->run(restore);
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.error_output, HasSubstr("no interface is on 'icecore-z'"));
  EXPECT_THAT(unknown.error_output, HasSubstr("icecore-a, icecore-b"));
  EXPECT_FALSE(std::filesystem::exists(folder));
  restore.resize(restore.size() - 2);
  first->must(restore);
  for (ProtectedDomain* of : {&*first, &*second})
    EXPECT_THAT(of->domain.inactive_xml(), HasSubstr("<source bridge='lo'/>"));
}

// What does not fit is found before anything is written, though each member would.
TEST_F(GroupRestore, HasRoomForAllOrForNone) {
  start_paused();
  first->domain.monitor_write("vda", 3 * k_mib, 8 * k_mib, 0x31);
  second->domain.monitor_write("vda", 3 * k_mib, 8 * k_mib, 0x32);
  first->must(words({}));
  const std::filesystem::path folder = first->domain.folder() / "small";
  std::filesystem::create_directory(folder);
  ASSERT_EQ(::mount("tmpfs", folder.c_str(), "tmpfs", 0, "size=14m,mode=0755"), 0);
  first->domain.undo().folder(folder);
  for (const std::string also : {"--verify", "--dry-run"}) {
    const rig::IcecoreOutcome refused =
        first->run({"restore", "latest", "--group", "--disks-only", "--to", folder, also});
    EXPECT_EQ(refused.exit_code, 9);
    EXPECT_THAT(refused.error_output, HasSubstr(folder.string()));
    EXPECT_TRUE(std::filesystem::is_empty(folder));
  }
  first->must({"restore", "latest", "--disks-only", "--to", folder / second->domain.name()});
}

}  // namespace
}  // namespace icecore::system_test
