// SPDX-License-Identifier: Apache-2.0
#include "cli/session_options.hpp"

#include "base/bytes.hpp"
#include "base/error.hpp"

namespace icecore::cli {

void declare_session_options(WordList& words, SessionOptions& options) {
  words.option("-c,--connect", "URI", "libvirt to talk to (LIBVIRT_DEFAULT_URI, else qemu:///system)",
               WordList::into(options.connect_uri));
  words.option("-r,--repository", "URL",
               "path, file:///path or sftp://[user@]host[:port]/path of the repository (ICECORE_REPOSITORY)",
               WordList::into(options.repository_url));
  words.option("--key-file", "FILE", "key that unlocks it (ICECORE_KEY_FILE); without one, a passphrase does",
               WordList::into(options.key_file));
  words.option("--state-dir", "DIR", "journal and cache (ICECORE_STATE_DIR, else /var/lib/icecore)",
               WordList::into(options.state_dir));
  words.option("--staging-dir", "DIR",
               "where backups wait for their upload (ICECORE_STAGING_DIR, else staging in the state folder); "
               "when given, backups to a local folder are staged too",
               WordList::into(options.staging_dir));
  words.option("--staging-limit", "SIZE", "how much may wait there, as 200G; default: a fifth of its file system",
               [&options](const std::string& text) {
                 const auto size = base::parse_size(text);
                 if (!size || *size == 0) base::fail(base::Fault::usage, "'{}' is no size such as 500M or 200G", text);
                 options.staging_bytes_max = *size;
               });
  words.flag("--json", "print one JSON record to standard output, and nothing else there", options.json);
  words.counted_flag("-v,--verbose", "tell more; -vv tells all", options.verbose);
  words.flag("-q,--quiet", "errors only: no progress, no notes", options.quiet);
}

void fill_from_environment(SessionOptions& options, const Environment& environment) {
  const auto fill = [&](auto& target, const char* variable, const char* otherwise) {
    if (target.empty()) target = environment(variable).value_or(otherwise);
  };
  fill(options.connect_uri, "LIBVIRT_DEFAULT_URI", "qemu:///system");
  fill(options.repository_url, "ICECORE_REPOSITORY", "");
  fill(options.key_file, "ICECORE_KEY_FILE", "");
  fill(options.staging_dir, "ICECORE_STAGING_DIR", "");
  fill(options.state_dir, "ICECORE_STATE_DIR", "/var/lib/icecore");
}

}  // namespace icecore::cli
