// SPDX-License-Identifier: Apache-2.0
// libvirt 9.0's daemon may die of a client that is killed while a call of it is answered, if it has asked for events on
// the same connection. What can be killed at any time therefore asks for them on one of its own.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>

#include "rig/private_libvirt.hpp"
#include "rig/requirements.hpp"
#include "system/job/protected_domain.hpp"

namespace icecore::system_test {
namespace {

// libvirt's remote_protocol.x
enum Procedure {
  k_close = 2,
  k_register_event = 316,
  k_deregister_event = 317,
};

class Events : public testing::Test {
 protected:
  void SetUp() override { ICECORE_NEEDS("root", "libvirt", "icecore", "program:virt-admin"); }

  // Reads libvirtd's log. What a client asked for once it had asked for events; a client's address is given again.
  void read(const std::filesystem::path& log) {
    const std::regex born("RPC_SERVER_CLIENT_NEW: client=(0x[0-9a-f]+)");
    const std::regex message("RPC_SERVER_CLIENT_MSG_RX: client=(0x[0-9a-f]+) .*prog=536903814 .*proc=([0-9]+) type=0");
    std::set<std::string> listening;
    std::ifstream lines(log);
    std::smatch found;
    for (std::string line; std::getline(lines, line);) {
      if (std::regex_search(line, found, born)) listening.erase(found[1]);
      if (!std::regex_search(line, found, message)) continue;
      const int procedure = std::stoi(found[2]);
      if (procedure == k_register_event && listening.insert(found[1]).second) ++listeners;
      if (listening.contains(found[1])) ++asked[procedure];
    }
  }

  int listeners = 0;
  std::map<int, int> asked;
};

TEST_F(Events, ComeInWhereNothingElseIsAsked) {
  rig::PrivateLibvirt libvirt;
  const std::filesystem::path log = libvirt.log_messages();
  rig::DomainOptions options;
  options.uri = libvirt.uri();
  ProtectedDomain subject(options);
  subject.init();
  subject.domain.start();
  for (const char* memory : {"--quiesce=off", "--full-state"}) subject.must({"backup", subject.domain.name(), memory});
  subject.expect_at_rest();
  read(log);
  EXPECT_GE(listeners, 3) << "each backup's merges and the memory's pause";
  for (const int allowed : {k_close, k_register_event, k_deregister_event}) asked.erase(allowed);
  for (const auto& [procedure, times] : asked) ADD_FAILURE() << "procedure " << procedure << ", times " << times;
}

}  // namespace
}  // namespace icecore::system_test
