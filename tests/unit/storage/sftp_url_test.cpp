// SPDX-License-Identifier: Apache-2.0
#include "storage/sftp_url.hpp"

#include <gmock/gmock.h>

#include <array>

#include "base/error.hpp"

namespace icecore::storage {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Case {
  const char* text;
  const char* user;
  const char* host;
  int port;  // 0: none
  const char* path;
};

TEST(SftpUrl, IsTakenApart) {
  constexpr std::array k_cases = {Case{"sftp://nas/srv/b", "", "nas", 0, "/srv/b"},
                                  Case{"sftp://me@nas:2222/srv/b/", "me", "nas", 2222, "/srv/b"},
                                  Case{"sftp://nas/", "", "nas", 0, "/"},
                                  Case{"sftp://nas/~/b/c", "", "nas", 0, "b/c"},
                                  Case{"sftp://nas/~", "", "nas", 0, "."},
                                  Case{"sftp://nas/~/", "", "nas", 0, "."},
                                  Case{"sftp://[::1]:22/b", "", "::1", 22, "/b"},
                                  Case{"sftp://[fe80::1]/b", "", "fe80::1", 0, "/b"},
                                  Case{"sftp://me%40home@nas/a%20b", "me@home", "nas", 0, "/a b"},
                                  Case{"sftp://nas/a@b", "", "nas", 0, "/a@b"}};
  for (const Case& wanted : k_cases) {
    SCOPED_TRACE(wanted.text);
    const SftpUrl url = parse_sftp_url(wanted.text);
    EXPECT_EQ(url.text, wanted.text);
    EXPECT_EQ(url.user, wanted.user);
    EXPECT_EQ(url.host, wanted.host);
    EXPECT_EQ(url.port.value_or(0), wanted.port);
    EXPECT_EQ(url.path, wanted.path);
  }
}

std::string refusal_of(const std::string& text) {
  try {
    parse_sftp_url(text);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.fault(), base::Fault::usage);
    return std::string(error.what()) + " | " + error.hint();
  }
  ADD_FAILURE() << text << " was taken";
  return {};
}

TEST(SftpUrl, WhatIsWrongIsSaid) {
  EXPECT_THAT(refusal_of("sftp://"), HasSubstr("no host"));
  EXPECT_THAT(refusal_of("sftp://nas"), HasSubstr("no path"));
  EXPECT_THAT(refusal_of("sftp://@nas/b"), HasSubstr("no user"));
  EXPECT_THAT(refusal_of("sftp://nas:99999/b"), HasSubstr("port"));
  EXPECT_THAT(refusal_of("sftp://nas:/b"), HasSubstr("port"));
  EXPECT_THAT(refusal_of("sftp://[::1/b"), HasSubstr("close"));
  EXPECT_THAT(refusal_of("sftp://nas/a%2"), HasSubstr("%XX"));
  EXPECT_THAT(refusal_of("sftp://-oProxyCommand=x/b"), HasSubstr("no host"));
  EXPECT_THAT(refusal_of("sftp://nas/a%0ab"), HasSubstr("control character"));
}

TEST(SftpUrl, APasswordIsRefusedAndNotRepeated) {
  for (const char* text : {"sftp://me:hunter2@nas/b", "sftp://me:hunter2@nas:x/b", "sftp://:hunter2@nas",
                           "sftp://me:a/hunter2@nas/b", "sftp://me:a@hunter2@nas/b"}) {
    EXPECT_THAT(refusal_of(text), Not(HasSubstr("hunter2")));
    EXPECT_THAT(refusal_of(text), HasSubstr("ICECORE_SSH_PASSWORD_FILE"));
  }
}

}  // namespace
}  // namespace icecore::storage
