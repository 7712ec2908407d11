// SPDX-License-Identifier: Apache-2.0
// Listing, declared in storage/sftp_download.hpp. Folders are read level by level and many at once, so that the 256
// folders of the packs cost a few round trips and not some hundred.
#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "storage/sftp_download.hpp"
#include "storage/sftp_fault.hpp"
#include "storage/temporary_name.hpp"

namespace icecore::storage {

using base::Fault;
using Id = SftpChannel::Id;

namespace {

// Open at a time; servers allow about a hundred.
constexpr std::size_t k_folders_open_max = 32;
// READDIRs sent at once to a folder; OpenSSH answers each with up to 100 names.
constexpr std::size_t k_reads_ahead = 2;
// What keeping a name costs beside its bytes.
constexpr std::uint64_t k_name_bytes = sizeof(ObjectInfo);

std::string join(const std::string& above, const std::string& name) { return above == "." ? name : above + "/" + name; }

class Listing {
 public:
  Listing(SftpChannel& channel, const std::string& root, const ListingLimits& limits)
      : channel_(channel), root_(root), limits_(limits) {}

  SftpListing run(const std::string& folder) {
    std::vector<std::string> level{folder};
    for (unsigned depth = 0; !level.empty(); ++depth) {
      if (depth > limits_.depth) {
        base::fail(Fault::corrupt, "'{}' has folders in folders, {} deep", join(root_, folder), depth);
      }
      std::vector<std::string> next;
      for (std::size_t at = 0; at < level.size(); at += k_folders_open_max) {
        const std::size_t count = std::min(k_folders_open_max, level.size() - at);
        read_folders(std::span(level).subspan(at, count), next);
      }
      level = std::move(next);
    }
    if (refusal_) fail_status(*refusal_, "cannot list '" + join(root_, folder) + "'");
    return std::move(found_);
  }

  // Of the root alone.
  std::vector<std::string> names() {
    static const std::vector<std::string> k_root{"."};
    std::vector<std::string> below;
    read_folders(k_root, below);
    if (refusal_) fail_status(*refusal_, "cannot list '" + root_ + "'");
    return std::move(names_);
  }

 private:
  struct Open {
    std::string name;
    std::string handle;
    std::vector<Id> reads = {};
  };

  void read_folders(std::span<const std::string> names, std::vector<std::string>& below) {
    std::vector<Id> opening;
    for (const std::string& name : names) {
      opening.push_back(channel_.path_request(SftpType::open_folder, join(root_, name)));
    }
    std::vector<Open> open;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const SftpReply reply = channel_.await(opening[i]);
      if (reply.ok()) {
        open.push_back({names[i], SftpChannel::handle_of(reply)});
      } else if (reply.status != SftpStatus::no_such_file) {
        refusal_ = reply;
      }
    }
    while (!open.empty()) {
      for (Open& at : open) {
        while (at.reads.size() < k_reads_ahead) at.reads.push_back(channel_.read_folder(at.handle));
      }
      std::vector<Open> unfinished;
      for (Open& at : open) {
        if (take_names(at, below)) {
          unfinished.push_back(std::move(at));
        } else {
          channel_.close_later(at.handle);
        }
      }
      open = std::move(unfinished);
    }
  }

  // Takes what its reads gave; false at the folder's end.
  bool take_names(Open& folder, std::vector<std::string>& below) {
    bool more = true;
    for (const Id id : std::exchange(folder.reads, {})) {
      const SftpReply reply = channel_.await(id);
      if (reply.type != SftpType::name) {
        if (reply.status != SftpStatus::end) refusal_ = reply;
        more = false;
      } else if (!parse_names(reply, folder.name, below)) {
        more = false;
      }
    }
    return more;
  }

  // False when there is none in it: some servers end a folder so.
  bool parse_names(const SftpReply& reply, const std::string& folder, std::vector<std::string>& below) {
    SftpPacketReader reader(reply.body);
    const std::uint32_t count = reader.u32();
    for (std::uint32_t left = count; left > 0; --left) {
      const std::string name = reader.text();
      note_cost(folder.size() + name.size() + k_name_bytes);
      const std::string shown = reader.text();  // as `ls -l`
      const SftpAttributes seen = reader.attributes();
      if (name == "." || name == ".." || name.find('/') != std::string::npos) continue;
      if (folder == ".") names_.push_back(name);
      if (seen.is_folder() || (!seen.mode && shown.starts_with('d'))) {
        below.push_back(folder + "/" + name);
      } else if (seen.is_file()) {
        add_file(folder + "/" + name, seen);
      }
    }
    return count > 0;
  }

  void add_file(std::string name, const SftpAttributes& seen) {
    found_.newest = std::max(found_.newest, seen.changed.value_or(0));
    if (!is_temporary(name)) {
      found_.objects.push_back({std::move(name), seen.size.value_or(0)});
    } else if (seen.changed) {
      found_.temporaries.push_back({std::move(name), *seen.changed});
    }
  }

  void note_cost(std::uint64_t bytes) {
    names_bytes_ += bytes;
    if (names_bytes_ <= limits_.names_bytes) return;
    base::fail(Fault::corrupt, "the folders below '{}' hold more names than any repository", root_);
  }

  SftpChannel& channel_;
  const std::string& root_;
  const ListingLimits& limits_;
  std::uint64_t names_bytes_ = 0;
  SftpListing found_;
  std::vector<std::string> names_;  // in the root itself
  std::optional<SftpReply> refusal_;
};

}  // namespace

SftpListing list_below(SftpChannel& channel, const std::string& root, const std::string& folder,
                       const ListingLimits& limits) {
  return Listing(channel, root, limits).run(folder);
}

std::vector<std::string> names_in(SftpChannel& channel, const std::string& folder) {
  return Listing(channel, folder, {}).names();
}

}  // namespace icecore::storage
