// SPDX-License-Identifier: Apache-2.0
// Repositories as released versions wrote them, whole and broken, kept under tests/golden: each must read
// today as its file `expected` says. ICECORE_ACCEPT=1 writes them anew and reports the test as skipped: only
// for a new format version, since it throws the old one's witness away.
#include <cstdlib>

#include "repository/envelope.hpp"
#include "storage/local_folder.hpp"
#include "unit/repository/fixture.hpp"

namespace icecore::repository {
namespace {

using base::Fault;
namespace fs = std::filesystem;

const std::vector<std::uint64_t> k_first_disk = {2, 0, 4, 4, 6, 8, 10, 12, 0, 0, 0, 14, 16, 18, 20, 22, 24, 26};
const std::vector<std::uint64_t> k_second_disk = {28, 2, 4};
constexpr std::string_view k_passphrase = "correct horse";

struct Golden {
  std::string name;
  enum class Unlock { key_file, passphrase, nothing } unlock = Unlock::key_file;
  void (*damage)(const fs::path& repository) = nullptr;
};

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void overwrite(const fs::path& file, base::ByteView bytes) { base::write_durably(file, bytes, 0644); }

// Power loss as some file systems do it: the right length, zeroes inside.
void zero_tail(const fs::path& file) {
  base::Bytes bytes = base::read_file(file);
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(bytes.size() / 2), bytes.end(), std::byte{0});
  overwrite(file, bytes);
}

void cut_manifest(const fs::path& repository) {
  const fs::path file = files_in(repository / "manifests").at(0);
  fs::resize_file(file, fs::file_size(file) / 2);
}
void zero_packs(const fs::path& repository) {
  for (const fs::path& file : files_in(repository / "packs")) zero_tail(file);
}
void lose_packs(const fs::path& repository) { fs::remove_all(repository / "packs"); }
void lose_index(const fs::path& repository) { fs::remove_all(repository / "index"); }
void exchange_packs(const fs::path& repository) {
  const std::vector<fs::path> files = files_in(repository / "packs");
  const base::Bytes first = base::read_file(files.at(0));
  overwrite(files.at(0), base::read_file(files.at(1)));
  overwrite(files.at(1), first);
}
void lose_keys(const fs::path& repository) { fs::remove_all(repository / "keys"); }
void make_newer(const fs::path& repository) {
  Config config = decode_config(base::read_file(repository / "config"));
  config.format_version = k_format_version + 1;
  overwrite(repository / "config", encode_config(config));
}

// Every name and byte count that may differ from one making to the next is in the repository itself, so the
// expectation can say all.
class GoldenTest : public RepositoryFixture, public testing::WithParamInterface<Golden> {
 protected:
  fs::path kept() const { return fs::path(ICECORE_GOLDEN_FOLDER) / GetParam().name; }
  fs::path work() const { return folder_ / "golden"; }

  Credential credential() const {
    switch (GetParam().unlock) {
      case Golden::Unlock::key_file: return KeyFile{work() / "key"};
      case Golden::Unlock::passphrase: return Passphrase{Secret::copy_of(base::as_bytes(k_passphrase))};
      case Golden::Unlock::nothing: break;
    }
    return {};
  }

  void make() {
    fs::remove_all(work());
    base::create_folders(work() / "repository");
    if (GetParam().unlock == Golden::Unlock::key_file) create_key_file(work() / "key");
    storage::LocalFolder storage(work() / "repository");
    Repository::create(storage, small_options(GetParam().unlock != Golden::Unlock::nothing), credential());
    repository_ = std::make_unique<Repository>(storage, credential(), folder_ / "cache");
    Manifest manifest;
    manifest.id = "00112233445566778899aabbccddeeff";
    manifest.domain_name = "web1";
    manifest.domain_uuid = "0f5b8a7e-6a9b-4b57-9d0a-0a8f6f1d2c3b";
    manifest.time = base::parse_time("2026-11-21T09:30:00.123Z");
    manifest.consistency = Consistency::application;
    manifest.live_xml = "<domain id='1'/>";
    manifest.inactive_xml = "<domain/>";
    manifest.disks.push_back({.target = "vda", .format = "qcow2", .image = store_image(k_first_disk)});
    manifest.disks.push_back({.target = "vdb", .format = "raw", .image = store_image(k_second_disk)});
    publish(*repository_, manifest);
    repository_.reset();
    if (GetParam().damage != nullptr) GetParam().damage(work() / "repository");
  }

  // What a reader sees: the points with the hashes of their disks, or the error in their place.
  std::string describe() {
    try {
      storage::LocalFolder storage(work() / "repository");
      repository_ = std::make_unique<Repository>(storage, credential(), folder_ / "cache");
      repository_->refresh_index();
      std::string text;
      for (const Manifest& manifest : list_manifests(*repository_)) text += describe(manifest);
      repository_.reset();
      return text;
    } catch (const base::Error& error) {
      repository_.reset();
      return without_path(fmt::format("{}: {}\n", to_string(error.fault()), error.what()));
    }
  }
  std::string describe(const Manifest& manifest) {
    std::string text =
        fmt::format("{} {} {} {} {}\n", manifest.id, manifest.domain_name, base::format_time(manifest.time),
                    to_string(manifest.consistency), manifest.live_xml + manifest.inactive_xml);
    for (const ManifestDisk& disk : manifest.disks) {
      const base::Bytes bytes = read_image(disk.image);
      const base::ByteView view(bytes);
      text += fmt::format("{} {} {} {}\n", disk.target, disk.format, bytes.size(),
                          base::to_hex(digest_of(std::span(&view, 1))));
    }
    return text;
  }
  std::string without_path(std::string text) const {
    const std::string path = work().string();
    for (std::size_t at = text.find(path); at != std::string::npos; at = text.find(path))
      text.replace(at, path.size(), "GOLDEN");
    return text;
  }
};

TEST_P(GoldenTest, ReadsAsItAlwaysDid) {
  if (std::getenv("ICECORE_ACCEPT") != nullptr) {
    make();
    base::write_durably(work() / "expected", base::as_bytes(describe()), 0644);
    fs::remove_all(kept());
    fs::create_directories(kept().parent_path());
    fs::copy(work(), kept(), fs::copy_options::recursive);
    GTEST_SKIP() << kept() << " is written anew";
  }
  fs::copy(kept(), work(), fs::copy_options::recursive);
  // Git keeps no permissions, and a key open to others is refused.
  if (fs::exists(work() / "key")) fs::permissions(work() / "key", fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(describe(), base::to_string(base::read_file(work() / "expected")));
}

INSTANTIATE_TEST_SUITE_P(V1, GoldenTest,
                         testing::Values(Golden{"v1-encrypted"}, Golden{"v1-plain", Golden::Unlock::nothing},
                                         Golden{"v1-passphrase", Golden::Unlock::passphrase},
                                         Golden{"v1-manifest-cut", Golden::Unlock::key_file, &cut_manifest},
                                         Golden{"v1-packs-zeroed", Golden::Unlock::key_file, &zero_packs},
                                         Golden{"v1-packs-lost", Golden::Unlock::key_file, &lose_packs},
                                         Golden{"v1-packs-exchanged", Golden::Unlock::nothing, &exchange_packs},
                                         Golden{"v1-index-lost", Golden::Unlock::key_file, &lose_index},
                                         Golden{"v1-keys-lost", Golden::Unlock::key_file, &lose_keys},
                                         Golden{"v1-newer", Golden::Unlock::nothing, &make_newer}),
                         [](const auto& chosen) {
                           std::string name = chosen.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace icecore::repository
