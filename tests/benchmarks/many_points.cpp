// SPDX-License-Identifier: Apache-2.0
// Publishes copies of a repository's newest restore point, a minute apart, to measure what grows with their number.
// Usage: many_points REPOSITORY KEY-FILE COUNT
#include <fmt/core.h>

#include <cstdlib>

#include "base/error.hpp"
#include "base/id.hpp"
#include "repository/manifest.hpp"
#include "storage/storage.hpp"

namespace {

namespace base = icecore::base;
namespace repository = icecore::repository;

void publish_copies(const std::string& url, const std::string& key_file, int count) {
  const auto storage = icecore::storage::open_storage(url, false);
  repository::Repository target(*storage, repository::KeyFile{key_file}, url + "-cache");
  const std::vector<repository::Manifest> points = repository::list_manifests(target);
  if (points.empty()) base::fail(base::Fault::not_found, "'{}' holds no restore point", url);
  repository::Manifest copy = points.back();
  for (int i = 0; i < count; ++i) {
    copy.id = base::random_id(16);
    copy.time += std::chrono::minutes(1);
    repository::publish(target, copy);
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) {
    fmt::print(stderr, "usage: many_points REPOSITORY KEY-FILE COUNT\n");
    return 2;
  }
  try {
    publish_copies(arguments[1], arguments[2], std::atoi(arguments[3]));
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
