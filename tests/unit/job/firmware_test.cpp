// SPDX-License-Identifier: Apache-2.0
#include "job/firmware.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <fstream>

#include "base/durable_file.hpp"
#include "base/id.hpp"

namespace icecore::job {
namespace {

using hypervisor::DomainModel;
using hypervisor::TpmModel;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class FirmwareTest : public testing::Test {
 protected:
  void SetUp() override { base::create_folders(folder_ / "tpm2"); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::trunc) << content;
  }
  FirmwareFiles files() const { return {.nvram = folder_ / "VARS.fd", .tpm_folder = folder_ / "tpm2", .notes = {}}; }

  std::filesystem::path folder_ = std::filesystem::temp_directory_path() / ("icecore-test-" + base::random_id(6));
};

TEST_F(FirmwareTest, TheXmlOrLibvirtsHabitTellsWhereTheyLie) {
  DomainModel model;
  model.name = "web1";
  model.uuid = "u";
  EXPECT_TRUE(firmware_files(model, "qemu:///system").nvram.empty());
  model.firmware_chosen = true;
  EXPECT_EQ(firmware_files(model, "qemu:///system").nvram, "/var/lib/libvirt/qemu/nvram/web1_VARS.fd");
  model.nvram = "/srv/web1.fd";
  model.tpm = TpmModel{.version = "2.0"};
  const FirmwareFiles files = firmware_files(model, "qemu:///system");
  EXPECT_EQ(files.nvram, "/srv/web1.fd");
  EXPECT_EQ(files.tpm_folder, "/var/lib/libvirt/swtpm/u/tpm2");
  EXPECT_THAT(files.notes, IsEmpty());
}

TEST_F(FirmwareTest, WhatCannotBeTakenIsSaid) {
  DomainModel model;
  model.nvram_type = "network";
  model.tpm = TpmModel{.source = "/x", .source_type = "file"};
  const FirmwareFiles files = firmware_files(model, "qemu:///system");
  EXPECT_TRUE(files.nvram.empty() && files.tpm_folder.empty());
  EXPECT_THAT(files.notes, ElementsAre(HasSubstr("network source"), HasSubstr("'/x'")));
  model.nvram_type.clear();
  model.tpm = TpmModel{.secret = "5ec"};
  EXPECT_THAT(firmware_files(model, "qemu:///system").notes, ElementsAre(HasSubstr("secret 5ec")));
}

TEST_F(FirmwareTest, QuietFilesAreCopiedAtOnce) {
  write("VARS.fd", "variables");
  write("tpm2/tpm2-00.permall", "state");
  write("tpm2/.lock", "");
  const FirmwareCopy copy = copy_firmware(files(), base::Milliseconds(0));
  EXPECT_TRUE(copy.settled);
  ASSERT_TRUE(copy.nvram);
  EXPECT_EQ(base::to_string(copy.nvram->bytes), "variables");
  ASSERT_EQ(copy.tpm.size(), 1U);
  EXPECT_EQ(base::to_string(copy.tpm[0].bytes), "state");
  EXPECT_THAT(notes_on(files(), copy, true), IsEmpty());
}

TEST_F(FirmwareTest, WhatIsNotThereIsLeftOutAndMissedInARunningDomainOnly) {
  const FirmwareCopy copy = copy_firmware(files(), base::Milliseconds(0));
  EXPECT_FALSE(copy.nvram);
  EXPECT_THAT(notes_on(files(), copy, false), IsEmpty());
  EXPECT_THAT(notes_on(files(), copy, true), ElementsAre(HasSubstr("NVRAM"), HasSubstr("TPM")));
}

TEST_F(FirmwareTest, ACopyTakenWhileItChangesIsTakenAgainUntilItSettles) {
  int copies = 0;
  const auto changing = [&](int changes) {
    return [&copies, changes] {
      FirmwareCopy copy;
      copy.nvram = FileCopy{.path = "VARS.fd", .bytes = base::Bytes(std::min(++copies, changes)), .owner = {}};
      return copy;
    };
  };
  const FirmwareCopy patient = copy_until_settled(changing(4), std::chrono::hours(1));
  EXPECT_TRUE(patient.settled);
  EXPECT_EQ(patient.nvram->bytes.size(), 4U);
  EXPECT_EQ(copies, 5);

  copies = 0;
  const FirmwareCopy hasty = copy_until_settled(changing(1000), base::Milliseconds(0));
  EXPECT_FALSE(hasty.settled);
  EXPECT_EQ(copies, 2);
  EXPECT_THAT(notes_on(files(), hasty, false), ElementsAre(HasSubstr("kept changing")));
}

}  // namespace
}  // namespace icecore::job
