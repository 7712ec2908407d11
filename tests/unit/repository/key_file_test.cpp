// SPDX-License-Identifier: Apache-2.0
#include "repository/key_file.hpp"

#include <sys/stat.h>

#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

using base::Fault;

class KeyFileTest : public RepositoryFixture {
 protected:
  std::string hex() const { return base::to_hex(read_key_file(key_path()).view()); }
  void write(std::string_view text) { base::write_durably(key_path(), base::as_bytes(text), 0600); }
};

TEST_F(KeyFileTest, ThreeFormsOfOneKey) {
  const std::string digits = hex();
  write(digits + "\n");
  EXPECT_EQ(hex(), digits);
  base::write_durably(key_path(), base::from_hex(digits), 0600);
  EXPECT_EQ(hex(), digits);
}

TEST_F(KeyFileTest, IsNeverOverwritten) {
  expect_fault(Fault::conflict, "left as it is", [&] { create_key_file(key_path()); });
}

TEST_F(KeyFileTest, OpenToOthersIsDenied) {
  ASSERT_EQ(::chmod(key_path().c_str(), 0640), 0);
  try {
    read_key_file(key_path());
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), Fault::denied);
    EXPECT_EQ(error.hint(), "chmod 600 '" + key_path().string() + "'");
  }
}

TEST_F(KeyFileTest, AnythingElseIsNoKeyFile) {
  for (const std::string_view text : {"", "icecore-key-v1 ", "icecore-key-v1 12", "hello world"}) {
    write(text);
    expect_fault(Fault::usage, "not an icecore key file", [&] { read_key_file(key_path()); });
  }
  expect_fault(Fault::not_found, "key file", [&] { read_key_file(folder_ / "none"); });
}

}  // namespace
}  // namespace icecore::repository
