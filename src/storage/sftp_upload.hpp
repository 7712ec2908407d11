// SPDX-License-Identifier: Apache-2.0
// Storing one object: folders, temporary name, bytes, fsync, rename, in three round trips and what the bytes take.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "storage/sftp_channel.hpp"

namespace icecore::storage {

struct SftpUpload {
  std::string path;                       // final
  std::string temporary;                  // beside it; new for each attempt
  std::string abandoned;                  // the temporary of a broken attempt before, or empty
  std::vector<std::string> folders;       // to make first, outermost first; those that exist are no error
  std::span<const base::ByteView> parts;  // the bytes, and behind them
  std::filesystem::path file = {};        // those of this local file, so many
  std::uint64_t file_bytes = 0;
  bool replace = false;  // true: an object that exists is replaced; false: it stays
};

// When it returns the object is there and, where the server has fsync, survives its power loss. An object that is
// there already is kept when it is as long, and is Fault::conflict otherwise, unless `replace`. What the server refuses
// leaves nothing behind; a broken connection may leave the temporary. Fault::no_space, denied, unavailable.
void upload(SftpChannel& channel, const SftpUpload& object);

}  // namespace icecore::storage
