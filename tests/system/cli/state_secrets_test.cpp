// SPDX-License-Identifier: Apache-2.0
// Who steals the disk with the state folder (journal, index cache) gets no key with it.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "repository/key_slots.hpp"
#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

TEST(StateSecrets, JournalAndCacheHoldNoKeys) {
  ICECORE_NEEDS("root", "libvirt", "icecore");
  ProtectedDomain subject;
  subject.init();
  subject.domain.start_paused();
  subject.must({"backup", subject.domain.name()});
  const auto storage = storage::open_storage(subject.repository());
  const repository::KeyFile key{subject.key_file()};
  const auto opened = repository::open_master(*storage, key, repository::read_config_object(*storage));
  const repository::Secret file = repository::read_key_file(subject.key_file());
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(subject.state_dir())) {
    if (!entry.is_regular_file()) continue;
    ++files;
    std::ifstream stream(entry.path(), std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(stream), {}};
    for (const base::ByteView secret : {opened.master.view(), file.view()}) {
      EXPECT_EQ(text.find(base::to_string(secret)), std::string::npos) << entry.path();
      EXPECT_EQ(text.find(base::to_hex(secret)), std::string::npos) << entry.path();
    }
  }
  EXPECT_GE(files, 2) << "the journal and the cache";
}

}  // namespace
}  // namespace icecore::system_test
