// SPDX-License-Identifier: Apache-2.0
#include "cli/printable_stream.hpp"

#include "base/printable.hpp"

namespace icecore::cli {

std::streamsize PrintableStream::Filter::xsputn(const char* text, std::streamsize size) {
  below_ << base::printable({text, static_cast<std::size_t>(size)});
  return below_ ? size : 0;
}

int PrintableStream::Filter::overflow(int letter) {
  const char c = traits_type::to_char_type(letter);
  return xsputn(&c, 1) == 1 ? traits_type::not_eof(letter) : traits_type::eof();
}

int PrintableStream::Filter::sync() { return below_.flush() ? 0 : -1; }

}  // namespace icecore::cli
