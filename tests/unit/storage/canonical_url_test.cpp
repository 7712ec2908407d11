// SPDX-License-Identifier: Apache-2.0
#include "storage/canonical_url.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/id.hpp"
#include "storage/sftp_url.hpp"

namespace icecore::storage {
namespace {

class CanonicalUrl : public testing::Test {
 protected:
  CanonicalUrl() {
    std::filesystem::create_directories(home_ / ".ssh");
    std::ofstream(home_ / ".ssh/config") << "Host nas\n  User backup\nHost far\n  User me\n  Port 2222\n";
    ::setenv("HOME", home_.c_str(), 1);
  }
  ~CanonicalUrl() override { std::filesystem::remove_all(home_); }

  std::filesystem::path home_ = std::filesystem::path(testing::TempDir()) / base::random_id(8);
};

TEST_F(CanonicalUrl, OnePlaceHasOneName) {
  const std::string name = "sftp://backup@nas/srv/x";
  for (const char* typed : {"sftp://nas/srv/x", "sftp://nas:22/srv/x", "sftp://nas/srv/x/", "sftp://nas//srv/./x//",
                            "sftp://backup@nas/srv/x", "sftp://nas/srv/%78"}) {
    EXPECT_EQ(canonical_url(typed), name) << typed;
  }
  EXPECT_EQ(canonical_url("sftp://far/~/./b/"), "sftp://me@far:2222/~/b");
  EXPECT_EQ(canonical_url("sftp://me@far:2222/~/b"), "sftp://me@far:2222/~/b");
  EXPECT_EQ(canonical_url("sftp://far:22/~"), "sftp://me@far/~");
  for (const char* typed : {"/srv/x", "/srv/x/", "/srv/./x", "file:///srv//x/", "/srv/y/../x"}) {
    EXPECT_EQ(canonical_url(typed), "/srv/x") << typed;
  }
  EXPECT_EQ(canonical_url("x"), std::filesystem::current_path() / "x");
}

TEST_F(CanonicalUrl, OtherPlacesHaveOthers) {
  const std::string name = canonical_url("sftp://nas/srv/x");
  for (const char* typed : {"sftp://nas:2222/srv/x", "sftp://other@nas/srv/x", "sftp://nas/srv/../x",
                            "sftp://nas/~/srv/x", "sftp://nas2/srv/x", "sftp://nas/srv/X"}) {
    EXPECT_NE(canonical_url(typed), name) << typed;
  }
}

TEST_F(CanonicalUrl, TheNameIsAUrlOfThePlace) {
  for (const char* typed :
       {"sftp://me%40home@nas:2222/a%25%20b", "sftp://[fe80::1]/b", "sftp://nas/", "sftp://nas/~"}) {
    const SftpUrl was = parse_sftp_url(typed);
    const SftpUrl is = parse_sftp_url(canonical_url(typed));
    EXPECT_EQ(is.host, was.host);
    EXPECT_EQ(is.port.value_or(22), was.port.value_or(22));
    EXPECT_EQ(is.path, was.path);
    EXPECT_EQ(canonical_url(canonical_url(typed)), canonical_url(typed));
  }
}

TEST_F(CanonicalUrl, WhatCannotBeOpenedStaysAsItIs) {
  for (const char* typed : {"", "ftp://nas/x", "sftp://nas", "sftp://me:secret@nas/x"}) {
    EXPECT_EQ(canonical_url(typed), typed);
  }
}

}  // namespace
}  // namespace icecore::storage
