// SPDX-License-Identifier: Apache-2.0
#include "system/job/protected_domain.hpp"

#include <set>
#include <sstream>
#include <thread>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "rig/disk_image.hpp"

namespace icecore::system_test {

ProtectedDomain::ProtectedDomain(rig::DomainOptions options) : domain(std::move(options)) {}

std::vector<std::string> ProtectedDomain::with_options(std::vector<std::string> arguments) const {
  for (const std::string& more :
       {std::string("--connect"), domain.uri(), std::string("--repository"), url.empty() ? repository().string() : url,
        std::string("--key-file"), key_file().string(), std::string("--state-dir"), state_dir().string()}) {
    arguments.push_back(more);
  }
  return arguments;
}

rig::IcecoreOutcome ProtectedDomain::run(std::vector<std::string> arguments, const rig::Environment& more) const {
  rig::Environment all = more;
  all.insert(environment.begin(), environment.end());
  return rig::icecore(with_options(std::move(arguments)), all);
}

rig::IcecoreOutcome ProtectedDomain::must(std::vector<std::string> arguments, const rig::Environment& more) const {
  const std::string command = arguments.at(0);
  rig::IcecoreOutcome outcome = run(std::move(arguments), more);
  EXPECT_EQ(outcome.exit_code, 0) << command << ": " << outcome.error_output << outcome.output;
  return outcome;
}

std::vector<std::string> ProtectedDomain::points() const {
  std::vector<std::string> ids;
  const base::Json list = must({"list", "--json"}).json();
  for (const base::Json& point : list.at("points")) ids.push_back(point.at("id"));
  return ids;
}

std::string ProtectedDomain::restored_hash(const std::string& point, const std::string& target) const {
  const std::filesystem::path folder = domain.folder() / ("restored-" + base::random_id(4));
  must({"restore", point, "--disks-only", "--to", folder.string()});
  return rig::content_hash(folder / (target + "." + domain.disk_format(target)), domain.disk_format(target),
                           domain.passphrase(target));
}

std::string ProtectedDomain::definition() const {
  std::istringstream text(domain.inactive_xml());
  std::multiset<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.insert(line);
  std::string sorted;
  for (const std::string& line : lines) sorted += line + "\n";
  return sorted;
}

void ProtectedDomain::expect_at_rest() const {
  EXPECT_EQ(domain.inactive_source(), domain.disk_path());
  if (domain.is_running()) {
    EXPECT_EQ(domain.live_source(), domain.disk_path());
    EXPECT_TRUE(domain.block_jobs().empty());
  }
  EXPECT_EQ(::virDomainSnapshotNum(domain.handle(), 0), 0) << "libvirt was left with a snapshot's metadata";
  for (const auto& file : std::filesystem::recursive_directory_iterator(domain.folder())) {
    EXPECT_EQ(file.path().string().find(".ovl.qcow2"), std::string::npos) << file.path();
    EXPECT_EQ(file.path().string().find(".layer.qcow2"), std::string::npos) << file.path();
  }
  // Other tests' domains are on this host too: only what doctor says of ours counts.
  const base::Json findings = run({"doctor", "--json"}).json().at("findings");
  EXPECT_FALSE(findings.empty());
  for (const base::Json& finding : findings) {
    const bool of_ours = finding.dump().find(domain.name()) != std::string::npos || finding.at("subject") == "journal";
    EXPECT_FALSE(of_ours && finding.at("severity") == "problem") << finding.dump();
  }
}

void wait_until(const std::string& what, const std::function<bool()>& condition) {
  for (const base::Stopwatch watch; watch.elapsed() < std::chrono::minutes(1);) {
    if (condition()) return;
    std::this_thread::sleep_for(base::Milliseconds(20));
  }
  ADD_FAILURE() << "in a minute it did not come to this: " << what;
}

}  // namespace icecore::system_test
