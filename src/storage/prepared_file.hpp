// SPDX-License-Identifier: Apache-2.0
// The second half of storing a file, for who has to wait between the two.
#pragma once

namespace icecore::storage {

// A file that is about to become an object; see Storage::prepare_file(). One thread at a time.
class PreparedFile {
 public:
  // Without store() before: nothing of it stays at a storage that answers.
  virtual ~PreparedFile() = default;
  // The object appears. Once; otherwise as put_file().
  virtual void store() = 0;
};

}  // namespace icecore::storage
