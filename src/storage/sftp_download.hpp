// SPDX-License-Identifier: Apache-2.0
// Reading objects and folders: opening costs one round trip, the rest another and what the bytes take.
#pragma once

#include <vector>

#include "storage/sftp_channel.hpp"
#include "storage/storage.hpp"

namespace icecore::storage {

// The whole file. Fault::not_found; longer than `size_max`, or ending before its own size: Fault::corrupt.
base::Bytes download(SftpChannel& channel, const std::string& path, std::uint64_t size_max);

// A part of it; a file that ends before is Fault::corrupt.
base::Bytes download_range(SftpChannel& channel, const std::string& path, std::uint64_t offset, std::size_t length);

// Nothing when there is no such file or folder.
std::optional<SftpAttributes> look_at(SftpChannel& channel, const std::string& path);
// The same of several, in their order, in about one round trip.
std::vector<std::optional<SftpAttributes>> look_at(SftpChannel& channel, const std::vector<std::string>& paths);

// What a server may tell us before we no longer believe it. Names are counted with what keeping one costs.
struct ListingLimits {
  std::uint64_t names_bytes = base::k_gib;
  unsigned depth = 16;  // of folders
};

struct SftpTemporary {
  std::string name;
  std::uint32_t changed = 0;
};

struct SftpListing {
  std::vector<ObjectInfo> objects;
  std::vector<SftpTemporary> temporaries;  // half-written objects whose age is known
  std::uint32_t newest = 0;                // when a file was last changed, by the server's clock
};

// All files below `folder`, which is named relative to `root`, as are the results. Missing is empty. Beyond the limits
// it is Fault::corrupt.
SftpListing list_below(SftpChannel& channel, const std::string& root, const std::string& folder,
                       const ListingLimits& limits = {});
// All names in one folder, of whatever kind.
std::vector<std::string> names_in(SftpChannel& channel, const std::string& folder);

}  // namespace icecore::storage
