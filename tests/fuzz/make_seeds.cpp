// SPDX-License-Identifier: Apache-2.0
// Writes the first inputs of each fuzz target's corpus: one good object as it is (first byte 0) and one good
// payload to be sealed (first byte 1). Usage: fuzz_make_seeds CORPUS-FOLDER
#include <filesystem>

#include "base/durable_file.hpp"
#include "base/id.hpp"
#include "contract/storage/memory_storage.hpp"
#include "repository/block_writer.hpp"
#include "repository/envelope.hpp"
#include "repository/frame_builder.hpp"
#include "repository/index_object.hpp"
#include "repository/manifest.hpp"
#include "repository/pack_reader.hpp"
#include "repository/repository_lock.hpp"
#include "storage/sftp_packet.hpp"

namespace {

namespace base = icecore::base;
namespace repository = icecore::repository;
using repository::ObjectKind;

const repository::KeyRing& keys() {
  static const repository::KeyRing ring = repository::KeyRing::unencrypted();
  return ring;
}

class Corpus {
 public:
  explicit Corpus(std::filesystem::path folder) : folder_(std::move(folder)) {}

  void write(const std::string& target, const std::string& name, base::ByteView bytes) const {
    base::create_folders(folder_ / target);
    base::write_durably(folder_ / target / name, bytes, 0644);
  }
  void write_marked(const std::string& target, const std::string& name, std::byte mark, base::ByteView bytes) const {
    base::Bytes marked{mark};
    marked.insert(marked.end(), bytes.begin(), bytes.end());
    write(target, name, marked);
  }
  // Both forms of an object.
  void write_object(const std::string& target, ObjectKind kind, const std::string& object,
                    base::ByteView payload) const {
    write_marked(target, "payload", std::byte{1}, payload);
    write_marked(target, "object", std::byte{0}, repository::seal(keys(), kind, object, payload));
  }

 private:
  std::filesystem::path folder_;
};

base::Bytes payload_of(ObjectKind kind, const std::string& name, base::ByteView object) {
  return repository::open(keys(), kind, name, object);
}

void write_small_objects(const Corpus& corpus) {
  repository::Config config;
  config.repository_id = "00112233445566778899aabbccddeeff";
  corpus.write_object("config", ObjectKind::config, "config",
                      payload_of(ObjectKind::config, "config", repository::encode_config(config)));
  repository::Passphrase phrase{repository::Secret::copy_of(base::as_bytes("x"))};
  const repository::Secret master = repository::Secret::random(repository::k_key_bytes);
  repository::KeySlot slot = repository::make_slot(master, repository::Credential(std::move(phrase)), {}, {1, 8192});
  slot.label = "label";
  slot.id = "0";
  corpus.write_object("key_slot", ObjectKind::key_slot, "keys/0",
                      payload_of(ObjectKind::key_slot, "keys/0", repository::encode_slot(slot)));
  const repository::LockInfo lock{.id = "0",
                                  .host = "host",
                                  .machine_id = "m",
                                  .boot_id = "b",
                                  .pid_namespace = "n",
                                  .pid = 1,
                                  .process_start = "1",
                                  .operation = "backup"};
  corpus.write_object("lock", ObjectKind::lock, "locks/0",
                      payload_of(ObjectKind::lock, "locks/0", repository::encode_lock(keys(), lock)));
  repository::Manifest manifest;
  manifest.disks.push_back({.target = "vda", .format = "qcow2", .image = {.disk_size = 1}});
  manifest.skipped.push_back({"sda", "cdrom"});
  manifest.blobs.push_back({.kind = "nvram", .path = "/x", .size = 1});
  manifest.tags = {"nightly"};
  manifest.live_xml = "<domain/>";
  corpus.write_object("manifest", ObjectKind::manifest, "manifests/0", repository::encode_manifest(manifest));
  base::Bytes node(96, std::byte{7});
  corpus.write("image_tree", "node", node);
}

using icecore::storage::SftpPacketWriter;
using icecore::storage::SftpType;

// A server with limits, and its answers to the requests behind 1, which asked for them.
void write_sftp(const Corpus& corpus) {
  base::Bytes greeting;
  SftpPacketWriter(greeting, SftpType::version).u32(3).text("limits@openssh.com").text("1").finish();
  SftpPacketWriter limits(greeting, SftpType::extended_reply);
  limits.u32(1).u64(1 << 18).u64(1 << 18).u64(1 << 18).u64(1 << 18).finish();
  const auto add = [](base::Bytes& out, SftpType type, std::uint32_t id) {
    return SftpPacketWriter(out, type).u32(id);
  };
  const auto status = [&](base::Bytes& out, std::uint32_t id, std::uint32_t code) {
    add(out, SftpType::status, id).u32(code).text("").text("").finish();
  };
  base::Bytes list = greeting;
  add(list, SftpType::handle, 2).text("h").finish();
  add(list, SftpType::name, 3).u32(1).text("x").text("").u32(5).u64(5).u32(0100600).finish();
  status(list, 4, 1);
  corpus.write_marked("sftp", "list", std::byte{0}, list);
  base::Bytes download = greeting;
  add(download, SftpType::handle, 2).text("h").finish();
  add(download, SftpType::attributes, 3).u32(5).u64(5).u32(0100600).finish();
  add(download, SftpType::data, 4).text("bytes").finish();
  corpus.write_marked("sftp", "download", std::byte{1}, download);
  base::Bytes range = greeting;
  add(range, SftpType::handle, 2).text("h").finish();
  add(range, SftpType::data, 3).text("bytes").finish();
  corpus.write_marked("sftp", "range", std::byte{2}, range);
  base::Bytes upload = greeting;
  status(upload, 2, 0);
  add(upload, SftpType::handle, 3).text("h").finish();
  status(upload, 4, 2);
  for (const std::uint32_t id : {5U, 6U, 7U}) status(upload, id, 0);
  corpus.write_marked("sftp", "upload", std::byte{3}, upload);
}

void write_pack_and_index(const Corpus& corpus, const std::filesystem::path& scratch) {
  icecore::contract::MemoryStorage storage;
  repository::Repository::create(storage, {.encrypt = false}, {});
  repository::Repository target(storage, {}, scratch);
  repository::BlockWriter writer(target);
  repository::FrameBuilder builder(writer, repository::FrameKind::data);
  for (unsigned i = 1; i <= 3; ++i) {
    const base::Bytes block(200 * i, static_cast<std::byte>(i));
    const repository::BlockName name = writer.name_of(block);
    if (!writer.claim(name)) continue;
    if (auto frame = builder.add(name, block)) writer.add(std::move(*frame));
  }
  if (auto frame = builder.flush()) writer.add(std::move(*frame));
  writer.finish();
  const std::string pack_name = storage.list("packs").at(0).name;
  const base::Bytes pack = storage.get(pack_name, base::k_mib);
  const repository::PackEntry entry =
      repository::parse_pack(keys(), target.config(), repository::parse_pack_object(pack_name).value(), pack);
  base::ByteWriter table;
  const std::size_t frames = entry.frames_end() - repository::k_pack_header_bytes;
  table.u16(static_cast<std::uint16_t>(frames));
  table.raw(base::ByteView(pack).subspan(repository::k_pack_header_bytes, frames));
  repository::encode_frames(table, entry.frames);
  corpus.write_marked("pack", "object", std::byte{0}, pack);
  corpus.write_marked("pack", "payload", std::byte{1}, table.take());
  corpus.write_object("index", ObjectKind::index, "index/0",
                      payload_of(ObjectKind::index, "index/0", repository::encode_index(keys(), "0", {entry})));
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return EXIT_FAILURE;
  const std::filesystem::path scratch =
      std::filesystem::temp_directory_path() / ("icecore-seeds-" + base::random_id(6));
  write_small_objects(Corpus(arguments[1]));
  write_sftp(Corpus(arguments[1]));
  write_pack_and_index(Corpus(arguments[1]), scratch);
  std::filesystem::remove_all(scratch);
  return EXIT_SUCCESS;
}
