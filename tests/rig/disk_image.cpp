// SPDX-License-Identifier: Apache-2.0
#include "rig/disk_image.hpp"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "base/bytes.hpp"
#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/id.hpp"
#include "base/json.hpp"
#include "base/process.hpp"

namespace icecore::rig {

namespace {

namespace fs = std::filesystem;

constexpr base::Milliseconds k_tool_deadline{240'000};
constexpr std::size_t k_block = 64 * 1024;

void run_tool(std::vector<std::string> arguments) {
  base::run_checked({.arguments = std::move(arguments), .pass_descriptors = {}, .input = {}}, k_tool_deadline);
}

// A name beside `path` whose file is gone at the end of the scope.
struct Beside {
  explicit Beside(const fs::path& path) : name(path.native() + "." + base::random_id(4)) {}
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;
  ~Beside() {
    std::error_code ignored;
    fs::remove_all(name, ignored);
  }
  fs::path name;
};

void lay_out(const fs::path& folder, const std::map<std::string, std::string>& files) {
  fs::create_directories(folder);
  for (const auto& [name, content] : files) {
    const fs::path file = folder / fs::path(name).relative_path();
    fs::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
  }
}

std::vector<std::string> secret_object(const std::string& passphrase) {
  return {"--object", "secret,id=rig,data=" + passphrase};
}

// An encrypted qcow2 and the encrypted ones below it, for --image-opts.
std::string encrypted_options(const fs::path& path, const std::string& prefix = "") {
  std::string options =
      fmt::format("{0}driver=qcow2,{0}encrypt.key-secret=rig,{0}file.filename={1}", prefix, path.native());
  const std::string info = base::run_checked(
      {.arguments = {"qemu-img", "info", "-U", "--output=json", path}, .pass_descriptors = {}, .input = {}},
      k_tool_deadline);
  const base::Json record = base::parse_json(info, "qemu-img info");
  if (!record.contains("full-backing-filename")) return options;
  return options + "," + encrypted_options(record["full-backing-filename"].get<std::string>(), prefix + "backing.");
}

// Before version 9.1 QEMU gives up where the kernel counts CPU time in coarse steps.
void make_encrypted(const std::vector<std::string>& command) {
  for (int tries = 0;; ++tries) {
    try {
      return run_tool(command);
    } catch (const base::Error&) {
      if (tries == 50) throw;
    }
  }
}

void make_file_system(const fs::path& path, const ImageOptions& options) {
  const Beside folder(path);
  const Beside raw(path);
  lay_out(folder.name, options.files);
  const bool is_raw = options.format == "raw";
  const fs::path& target = is_raw ? path : raw.name;
  run_tool({"truncate", "-s", std::to_string(options.size), target});
  run_tool({"mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", "-d",
            folder.name, target});
  if (is_raw) return;
  if (!options.passphrase.empty()) {
    std::vector<std::string> command = {
        "qemu-img", "convert", "-n", "-f", "raw", "--target-image-opts", target, encrypted_options(path)};
    const auto secret = secret_object(options.passphrase);
    command.insert(command.begin() + 2, secret.begin(), secret.end());
    return run_tool(std::move(command));
  }
  run_tool({"qemu-img", "convert", "-n", "-f", "raw", "-O", options.format, target, path});
}

// Two 64-bit lanes of multiply and xor-shift over (block number, words): for tests, not for enemies.
struct ContentHash {
  std::uint64_t lanes[2] = {0x9e3779b97f4a7c15ULL, 0xc2b2ae3d27d4eb4fULL};
  void add(std::uint64_t word) noexcept {
    lanes[0] = (lanes[0] ^ word) * 0xff51afd7ed558ccdULL;
    lanes[0] ^= lanes[0] >> 32;
    lanes[1] = (lanes[1] + word) * 0xc4ceb9fe1a85ec53ULL;
    lanes[1] ^= lanes[1] >> 29;
  }
  void add_block(std::uint64_t number, base::ByteView block) noexcept {
    if (base::is_zero(block)) return;
    add(number);
    for (std::size_t at = 0; at < block.size(); at += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, block.data() + at, std::min<std::size_t>(8, block.size() - at));
      add(word);
    }
  }
};

void hash_extent(const base::Fd& fd, std::uint64_t from, std::uint64_t to, std::uint64_t& next, ContentHash& hash) {
  std::vector<std::byte> block(k_block);
  for (std::uint64_t number = std::max(from / k_block, next); number * k_block < to; ++number) {
    const ssize_t got = ::pread(fd.get(), block.data(), k_block, static_cast<off_t>(number * k_block));
    if (got < 0) base::fail_errno(errno, "reading an image");
    hash.add_block(number, base::ByteView(block).first(static_cast<std::size_t>(got)));
    next = number + 1;
  }
}

std::string hash_sparse(const fs::path& raw) {
  const base::Fd fd = base::open_file(raw, O_RDONLY);
  ContentHash hash;
  const std::uint64_t size = fs::file_size(raw);
  std::uint64_t next = 0;
  for (off_t data = ::lseek(fd.get(), 0, SEEK_DATA); data >= 0;) {
    const off_t hole = ::lseek(fd.get(), data, SEEK_HOLE);
    hash_extent(fd, static_cast<std::uint64_t>(data), static_cast<std::uint64_t>(hole), next, hash);
    data = ::lseek(fd.get(), hole, SEEK_DATA);
  }
  return fmt::format("{:016x}{:016x}/{}", hash.lanes[0], hash.lanes[1], size);
}

}  // namespace

void make_image(const fs::path& path, const ImageOptions& options) {
  std::vector<std::string> command = {"qemu-img", "create", "-q", "-f", options.format};
  if (!options.create_options.empty()) {
    command.insert(command.end(), {"-o", fmt::format("{}", fmt::join(options.create_options, ","))});
  }
  if (options.backing) command.insert(command.end(), {"-b", *options.backing, "-F", options.backing_format});
  if (!options.passphrase.empty()) {
    const auto secret = secret_object(options.passphrase);
    command.insert(command.begin() + 2, secret.begin(), secret.end());
    command.insert(command.end(), {"-o", "encrypt.format=luks,encrypt.key-secret=rig,encrypt.iter-time=10"});
  }
  command.push_back(path);
  if (!options.backing) command.push_back(std::to_string(options.size));
  if (options.passphrase.empty()) {
    run_tool(std::move(command));
  } else {
    make_encrypted(command);
  }
  if (options.file_system || !options.files.empty()) make_file_system(path, options);
}

void copy_raw(const fs::path& path, const std::string& format, const std::string& passphrase, const fs::path& raw) {
  if (passphrase.empty()) return run_tool({"qemu-img", "convert", "-U", "-f", format, "-O", "raw", path, raw});
  std::vector<std::string> command = {"qemu-img", "convert", "-U"};
  for (const std::string& word : secret_object(passphrase)) command.push_back(word);
  command.insert(command.end(), {"--image-opts", encrypted_options(path), "-O", "raw", raw});
  run_tool(std::move(command));
}

std::string content_hash(const fs::path& path, const std::string& format, const std::string& passphrase) {
  const Beside raw(path);
  copy_raw(path, format, passphrase, raw.name);
  return hash_sparse(raw.name);
}

void set_backing(const fs::path& path, const std::string& passphrase, const fs::path& raw) {
  make_image(raw, {.format = "raw"});
  std::vector<std::string> command = {"qemu-img", "rebase", "-u", "-F", "raw", "-b", raw};
  for (const std::string& word : secret_object(passphrase)) command.push_back(word);
  command.insert(command.end(), {"--image-opts", encrypted_options(path)});
  run_tool(std::move(command));
}

void write_pattern(const fs::path& path, const std::string& format, std::uint64_t offset, std::uint64_t length,
                   unsigned char pattern) {
  run_tool({"qemu-io", "-f", format, "-c", fmt::format("write -P {} {} {}", pattern, offset, length), path});
}

void discard(const fs::path& path, const std::string& format, std::uint64_t offset, std::uint64_t length) {
  run_tool({"qemu-io", "-f", format, "-d", "unmap", "-c", fmt::format("discard {} {}", offset, length), path});
}

std::uint64_t allocated_bytes(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) base::fail_errno(errno, path.native());
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

}  // namespace icecore::rig
