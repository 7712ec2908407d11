// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/durable_definition.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/id.hpp"
#include "hypervisor/state_folders.hpp"

namespace icecore::hypervisor {
namespace {

// The user's folders are where the test says.
class DurableDefinition : public testing::Test {
 protected:
  void SetUp() override {
    base::create_folders(folder_);
    for (const char* name : {"XDG_CONFIG_HOME", "HOME"}) {
      const char* const value = ::getenv(name);
      before_.emplace_back(name, value == nullptr ? std::nullopt : std::optional<std::string>(value));
    }
  }
  void TearDown() override {
    for (const auto& [name, value] : before_) {
      value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
    }
    std::filesystem::remove_all(folder_);
  }

  std::filesystem::path folder_ = std::filesystem::temp_directory_path() / ("icecore-test-" + base::random_id(6));
  std::vector<std::pair<std::string, std::optional<std::string>>> before_;
};

TEST_F(DurableDefinition, LiesWhereTheLibvirtOfTheUriKeepsIt) {
  EXPECT_EQ(definitions_folder("qemu:///system"), "/etc/libvirt/qemu");
  EXPECT_EQ(definitions_folder("qemu+unix:///system?socket=/run/other"), "/etc/libvirt/qemu");
  ::setenv("HOME", "/home/ann", 1);
  ::unsetenv("XDG_CONFIG_HOME");
  EXPECT_EQ(definitions_folder("qemu:///session"), "/home/ann/.config/libvirt/qemu");
  ::setenv("XDG_CONFIG_HOME", "/home/ann/settings", 1);
  EXPECT_EQ(definitions_folder("qemu:///session"), "/home/ann/settings/libvirt/qemu");
}

TEST_F(DurableDefinition, OfAnotherHostOrDriverLiesNowhereHere) {
  for (const char* uri : {"qemu+ssh://host/system", "qemu+tls://host/session", "qemu://host/system", "test:///default",
                          "xen:///system", ""})
    EXPECT_EQ(definitions_folder(uri), "") << uri;
}

TEST_F(DurableDefinition, ThatIsNotThereIsNoFailure) {
  EXPECT_NO_THROW(sync_definition(folder_ / "missing", "web1"));
  EXPECT_NO_THROW(sync_definition(folder_, "web1"));
  EXPECT_NO_THROW(sync_definition(folder_, "")) << "the domain is gone";
  base::write_durably(folder_ / "web1.xml", base::as_bytes("<domain/>"));
  EXPECT_NO_THROW(sync_definition(folder_, "web1"));
}

TEST_F(DurableDefinition, AFolderThatCannotBeSyncedIsToldOf) {
  std::filesystem::create_symlink(folder_ / "loop", folder_ / "loop");
  EXPECT_THROW(sync_definition(folder_ / "loop", ""), base::Error);
}

// As the job asks for it: libvirt's test driver keeps nothing on a disk.
TEST_F(DurableDefinition, OfALibvirtWithoutFilesIsLeftAlone) {
  Connection connection("test:///default");
  make_definition_durable(connection, "6695eb01-f6a4-8304-79aa-97f2502e193f");
}

}  // namespace
}  // namespace icecore::hypervisor
