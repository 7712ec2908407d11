// SPDX-License-Identifier: Apache-2.0
#include "job/blob.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/handle.hpp"
#include "repository/block_reader.hpp"
#include "repository/frame_builder.hpp"
#include "repository/image_tree_reader.hpp"
#include "repository/image_tree_writer.hpp"

namespace icecore::job {

using base::Fault;
using repository::BlockName;
using repository::ManifestBlob;

namespace {

constexpr std::size_t k_piece_bytes = 4 * base::k_mib;  // a multiple of every block size

void require_not_stopped(const std::stop_token& stop, const std::filesystem::path& path) {
  if (stop.stop_requested()) base::fail(Fault::cancelled, "'{}': interrupted", path.string());
}

// Names of consecutive blocks; zero for those that are all zero.
std::vector<BlockName> names_of(const repository::KeyRing& keys, base::ByteView bytes, std::size_t block_bytes) {
  std::vector<base::ByteView> views;
  std::vector<std::size_t> places;
  std::vector<BlockName> names((bytes.size() + block_bytes - 1) / block_bytes);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const base::ByteView block = bytes.subspan(i * block_bytes, std::min(block_bytes, bytes.size() - i * block_bytes));
    if (base::is_zero(block)) continue;
    views.push_back(block);
    places.push_back(i);
  }
  std::vector<BlockName> found(views.size());
  keys.names_of(views, found);
  for (std::size_t i = 0; i < places.size(); ++i) names[places[i]] = found[i];
  return names;
}

class ImageStore {
 public:
  ImageStore(repository::BlockWriter& writer, std::uint64_t size)
      : writer_(writer),
        builder_(writer, repository::FrameKind::data),
        tree_(writer, size),
        block_bytes_(writer.repository().config().block_bytes) {}

  // Whole blocks, but for the last call.
  void add(base::ByteView bytes) {
    const std::vector<BlockName> names = names_of(writer_.repository().keys(), bytes, block_bytes_);
    for (std::size_t i = 0; i < names.size(); ++i) {
      tree_.set(next_block_++, names[i]);
      if (!writer_.claim(names[i])) continue;
      const std::size_t at = i * block_bytes_;
      hand_on(builder_.add(names[i], bytes.subspan(at, std::min(block_bytes_, bytes.size() - at))));
    }
  }
  repository::ImageRoot finish() {
    hand_on(builder_.flush());
    return tree_.finish();
  }

 private:
  void hand_on(std::optional<repository::SealedFrame> frame) {
    if (frame) writer_.add(std::move(*frame));
  }

  repository::BlockWriter& writer_;
  repository::FrameBuilder builder_;
  repository::ImageTreeWriter tree_;
  std::size_t block_bytes_;
  std::uint64_t next_block_ = 0;
};

// Calls action(bytes) for the file's pieces, from its beginning to `size`.
template <typename Action>
void for_each_piece(int fd, std::uint64_t size, const std::filesystem::path& path, Action&& action) {
  base::Buffer piece(std::min<std::uint64_t>(size, k_piece_bytes));
  for (std::uint64_t done = 0; done < size;) {
    const std::size_t wanted = std::min<std::uint64_t>(size - done, piece.size());
    for (std::size_t filled = 0; filled < wanted;) {
      const ssize_t count = ::pread(fd, piece.data() + filled, wanted - filled, static_cast<off_t>(done + filled));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) base::fail_errno(errno, "read '" + path.string() + "'");
      if (count == 0) base::fail(Fault::conflict, "'{}' became shorter while it was read", path.string());
      filled += static_cast<std::size_t>(count);
    }
    action(piece.view().first(wanted));
    done += wanted;
  }
}

ManifestBlob describe(std::string kind, const std::filesystem::path& path, std::uint64_t size, FileOwner owner) {
  ManifestBlob blob;
  blob.kind = std::move(kind);
  blob.path = path.string();
  blob.size = size;
  blob.mode = owner.mode;
  blob.owner = std::move(owner.user);
  blob.group = std::move(owner.group);
  return blob;
}

void write_at(int fd, base::ByteView bytes, std::uint64_t offset, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) base::fail_errno(errno, "write '" + path.string() + "'");
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::size_t>(count);
  }
}

void write_blocks(repository::Repository& repository, const ManifestBlob& blob,
                  const std::vector<repository::BlockRange>& lost, int fd, const std::filesystem::path& path,
                  const std::stop_token& stop) {
  const std::uint64_t block_bytes = repository.config().block_bytes;
  if (blob.size != blob.image.disk_size) base::fail(Fault::corrupt, "its size and its image's do not agree");
  repository::BlockReader reader(repository);
  repository::ImageTreeReader tree(reader, repository.config(), blob.image, lost);
  while (const auto leaf = tree.next()) {
    require_not_stopped(stop, path);
    for (std::size_t i = 0; i < leaf->names.size(); ++i) {
      if (leaf->names[i].is_zero()) continue;
      write_at(fd, reader.read_block(leaf->names[i]), (leaf->first_block + i) * block_bytes, path);
    }
  }
}

void add_unless_gone(std::vector<FileCopy>& files, const std::filesystem::path& path) {
  try {
    files.push_back(copy_file(path));
  } catch (const base::Error& error) {
    if (error.fault() != Fault::not_found) throw;
  }
}

std::vector<BlockName> stored_names(repository::Repository& repository, const ManifestBlob& blob,
                                    const std::vector<repository::BlockRange>& lost) {
  std::vector<BlockName> names(repository::block_count(blob.size, repository.config().block_bytes));
  repository::BlockReader reader(repository);
  repository::ImageTreeReader tree(reader, repository.config(), blob.image, lost);
  tree.for_each_leaf([&](std::uint64_t first, std::span<const BlockName> leaf) {
    std::copy(leaf.begin(), leaf.end(), names.begin() + static_cast<std::ptrdiff_t>(first));
  });
  return names;
}

}  // namespace

FileCopy copy_file(const std::filesystem::path& path) {
  const base::Fd fd = base::open_file(path, O_RDONLY | O_NONBLOCK);
  return {path, base::read_file(fd.get(), path, k_file_copy_bytes_max), owner_of(fd.get(), path)};
}

std::vector<FileCopy> copy_folder(const std::filesystem::path& folder) {
  std::vector<FileCopy> files;
  if (!std::filesystem::is_directory(folder)) return files;
  for (const std::filesystem::directory_entry& entry : std::filesystem::directory_iterator(folder)) {
    const bool hidden = entry.path().filename().string().starts_with('.');
    if (!hidden && entry.is_regular_file()) add_unless_gone(files, entry.path());
  }
  std::sort(files.begin(), files.end(), [](const FileCopy& a, const FileCopy& b) { return a.path < b.path; });
  return files;
}

ManifestBlob store_blob(repository::BlockWriter& writer, std::string kind, const FileCopy& file) {
  ManifestBlob blob = describe(std::move(kind), file.path, file.bytes.size(), file.owner);
  ImageStore store(writer, blob.size);
  store.add(file.bytes);
  blob.image = store.finish();
  return blob;
}

ManifestBlob store_file(repository::BlockWriter& writer, std::string kind, const std::filesystem::path& path,
                        const std::function<void(std::uint64_t)>& on_bytes, const std::stop_token& stop) {
  const base::Fd fd = base::open_file(path, O_RDONLY | O_NONBLOCK);
  ManifestBlob blob = describe(std::move(kind), path, base::file_size(fd.get(), path), owner_of(fd.get(), path));
  ImageStore store(writer, blob.size);
  std::uint64_t done = 0;
  for_each_piece(fd.get(), blob.size, path, [&](base::ByteView piece) {
    require_not_stopped(stop, path);
    store.add(piece);
    on_bytes(done += piece.size());
  });
  blob.image = store.finish();
  return blob;
}

void restore_blob(repository::Repository& repository, const ManifestBlob& blob,
                  const std::vector<repository::BlockRange>& lost, const std::filesystem::path& path,
                  const std::stop_token& stop) {
  if (std::filesystem::exists(path)) base::fail(Fault::conflict, "'{}' exists", path.string());
  const base::Fd fd = base::open_file(path, O_WRONLY | O_CREAT | O_EXCL);
  base::ScopeExit discard([&] { ::unlink(path.c_str()); });
  base::with_context([&] { write_blocks(repository, blob, lost, fd.get(), path, stop); }, "{} '{}'", blob.kind,
                     blob.path);
  if (::ftruncate(fd.get(), static_cast<off_t>(blob.size)) != 0)
    base::fail_errno(errno, "set the size of '" + path.string() + "'");
  if (!blob.owner.empty()) give_to({blob.mode, blob.owner, blob.group}, path);
  if (::fsync(fd.get()) != 0) base::fail_errno(errno, "fsync '" + path.string() + "'");
  base::sync_folder(path.parent_path());
  discard.dismiss();
}

bool has_content_of(repository::Repository& repository, const ManifestBlob& blob, const std::filesystem::path& path,
                    const std::vector<repository::BlockRange>& lost) {
  if (!std::filesystem::is_regular_file(path)) return false;
  const base::Fd fd = base::open_file(path, O_RDONLY);
  if (base::file_size(fd.get(), path) != blob.size || blob.image.disk_size != blob.size) return false;
  const std::vector<BlockName> stored = stored_names(repository, blob, lost);
  std::size_t at = 0;
  bool same = true;
  for_each_piece(fd.get(), blob.size, path, [&](base::ByteView piece) {
    for (const BlockName& name : names_of(repository.keys(), piece, repository.config().block_bytes))
      same = same && name == stored[at++];
  });
  return same;
}

}  // namespace icecore::job
