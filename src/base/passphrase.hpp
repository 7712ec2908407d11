// SPDX-License-Identifier: Apache-2.0
// The passphrase of a disk that QEMU encrypts, for as long as it is needed: wiped when released, and never copied.
#pragma once

#include <cstring>
#include <memory>
#include <string>

namespace icecore::base {

// Overwrites the text in a way the compiler cannot leave out, and empties it.
inline void wipe(std::string& text) noexcept {
  ::explicit_bzero(text.data(), text.size());
  text.clear();
}

class Passphrase {
 public:
  // `text` is wiped.
  explicit Passphrase(std::string&& text) : text_(new std::string(text)) { wipe(text); }

  // Any bytes, not only text.
  const std::string& text() const noexcept { return *text_; }

 private:
  struct Release {
    void operator()(std::string* text) const noexcept {
      wipe(*text);
      delete text;
    }
  };
  std::unique_ptr<std::string, Release> text_;
};

}  // namespace icecore::base
