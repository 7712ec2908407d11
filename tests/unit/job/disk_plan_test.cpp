// SPDX-License-Identifier: Apache-2.0
// What is refused of a disk that runs on another image than the next start would use: before any image is read.
#include "job/disk_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace icecore::job {
namespace {

using hypervisor::DiskModel;
using hypervisor::DomainModel;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* k_attach =
    "virsh attach-disk --config --targetbus scsi --subdriver qcow2 web1 '/images/new disk.qcow2' sdb`";
constexpr const char* k_exclude = "--exclude-disk sdb, in a policy <exclude target=\"sdb\"/>";

DiskModel disk_on(const std::string& path) {
  DiskModel disk;
  disk.target = "sdb";
  disk.device = "disk";
  disk.bus = "scsi";
  disk.source = {.kind = hypervisor::SourceKind::file, .path = path, .format = "qcow2"};
  return disk;
}

DomainModel web1(std::vector<DiskModel> disks) {
  DomainModel model;
  model.name = "web1";
  model.disks = std::move(disks);
  return model;
}

base::Error refusal_of(const DiskModel& disk, const DomainModel& next, FullState full_state = FullState::off) {
  const DomainModel now = web1({disk});
  BackupOptions options;
  options.full_state = full_state;
  try {
    plan_disk(disk, {now, &next, "<domain/>"}, options, "0123456789abcdef");
  } catch (const base::Error& error) {
    return error;
  }
  ADD_FAILURE() << "not refused";
  return base::Error(base::Fault::internal, "not refused");
}

TEST(DiskPlan, ADiskThatIsAttachedLiveAloneIsToBeAttachedForGood) {
  const base::Error refused = refusal_of(disk_on("/images/new disk.qcow2"), web1({}));
  EXPECT_EQ(refused.fault(), base::Fault::conflict);
  EXPECT_THAT(refused.what(), HasSubstr("next start would be without it"));
  EXPECT_THAT(refused.hint(),
              AllOf(HasSubstr(k_attach), HasSubstr("`virsh detach-disk --live web1 sdb`"), HasSubstr(k_exclude)));
}

// It would be refused next: the memory fits all disks of the guest or none.
TEST(DiskPlan, WithTheMemoryItIsNotSaidToLeaveTheDiskOut) {
  for (const FullState full_state : {FullState::required, FullState::attempt}) {
    const base::Error refused = refusal_of(disk_on("/images/new disk.qcow2"), web1({}), full_state);
    EXPECT_THAT(refused.hint(), AllOf(HasSubstr(k_attach), Not(HasSubstr("exclude"))));
  }
}

TEST(DiskPlan, ADiskWithAnotherImageAtTheNextStartIsToBeEdited) {
  const DiskModel disk = disk_on("/images/now.qcow2");
  const DomainModel next = web1({disk_on("/images/later.qcow2")});
  const base::Error refused = refusal_of(disk, next);
  EXPECT_THAT(refused.what(), HasSubstr("next start would use '/images/later.qcow2'"));
  EXPECT_THAT(refused.hint(), AllOf(HasSubstr("virsh edit web1"), HasSubstr(k_exclude), Not(HasSubstr("attach"))));
  EXPECT_THAT(refusal_of(disk, next, FullState::required).hint(), Not(HasSubstr("exclude")));
}

// Which virsh attach-disk has no words for.
TEST(DiskPlan, AnEncryptedDiskThatIsAttachedLiveAloneIsToBeEdited) {
  DiskModel disk = disk_on("/images/secret.qcow2");
  disk.encryption = "<encryption format='luks'/>";
  EXPECT_THAT(refusal_of(disk, web1({})).hint(), AllOf(HasSubstr("virsh edit web1"), Not(HasSubstr("attach"))));
}

}  // namespace
}  // namespace icecore::job
