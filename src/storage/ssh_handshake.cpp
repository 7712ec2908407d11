// SPDX-License-Identifier: Apache-2.0
// Handshake and host key, declared in storage/ssh_login.hpp.
#include <libssh2.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "base/shell_word.hpp"
#include "storage/known_hosts.hpp"
#include "storage/ssh_login.hpp"

namespace icecore::storage {

using base::Fault;

namespace {

// Best first. CTR with encrypt-and-MAC: CBC and DES are left out. Of the rest of the algorithms libssh2's order is
// fine.
constexpr const char* k_ciphers = "aes128-ctr,aes256-ctr,aes192-ctr";
constexpr const char* k_macs = "hmac-sha2-256,hmac-sha2-512,hmac-sha1";
constexpr std::array k_host_key_types = {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
                                         "ecdsa-sha2-nistp521", "ssh-rsa"};
constexpr const char* k_system_known_hosts = "/etc/ssh/ssh_known_hosts";

KnownHosts load_known_hosts(const SshTarget& target) {
  std::vector<std::filesystem::path> files = target.host.known_hosts_files;
  files.emplace_back(k_system_known_hosts);
  return KnownHosts::load(files);
}

// A type of which a key is known comes first, as a server may show any of its keys.
std::string host_key_order(const SshTarget& target) {
  const std::vector<std::string> types = load_known_hosts(target).key_types(target.host.host_name, *target.host.port);
  const std::set<std::string> known(types.begin(), types.end());
  std::string first;
  std::string rest;
  for (const char* type : k_host_key_types) (known.contains(type) ? first : rest) += std::string(",") + type;
  return (first + rest).substr(1);
}

void prefer(LIBSSH2_SESSION* session, int method, const std::string& names) {
  if (libssh2_session_method_pref(session, method, names.c_str()) != 0) {
    base::fail(Fault::usage, "none of '{}' is known to libssh2", names);
  }
}

HostKey shown_key(LIBSSH2_SESSION* session) {
  std::size_t size = 0;
  int kind = 0;
  const char* bytes = libssh2_session_hostkey(session, &size, &kind);
  const base::ByteView blob = std::as_bytes(std::span(bytes, bytes == nullptr ? 0 : size));
  const char* type = libssh2_session_methods(session, LIBSSH2_METHOD_HOSTKEY);
  return {type == nullptr ? "" : type, {blob.begin(), blob.end()}};
}

// As OpenSSH prints it.
std::string fingerprint(LIBSSH2_SESSION* session) {
  constexpr std::size_t k_sha256_bytes = 32;
  const char* hash = libssh2_hostkey_hash(session, LIBSSH2_HOSTKEY_HASH_SHA256);
  if (hash == nullptr) base::fail(Fault::unavailable, "the server shows no host key");
  std::string text = to_base64(std::as_bytes(std::span(hash, k_sha256_bytes)));
  text.erase(text.find_last_not_of('=') + 1);
  return "SHA256:" + text;
}

std::string shown_name(const SshTarget& target) {
  const int port = *target.host.port;
  return port == 22 ? target.host.host_name : fmt::format("[{}]:{}", target.host.host_name, port);
}

}  // namespace

void ssh_handshake(LIBSSH2_SESSION* session, int socket, const SshTarget& target, const SshWait& wait) {
  const std::string ciphers = target.host.ciphers.empty() ? k_ciphers : target.host.ciphers;
  for (const int method : {LIBSSH2_METHOD_CRYPT_CS, LIBSSH2_METHOD_CRYPT_SC}) prefer(session, method, ciphers);
  for (const int method : {LIBSSH2_METHOD_MAC_CS, LIBSSH2_METHOD_MAC_SC}) prefer(session, method, k_macs);
  prefer(session, LIBSSH2_METHOD_HOSTKEY, host_key_order(target));
  const int result = finish_step([&] { return libssh2_session_handshake(session, socket); }, wait);
  if (result == LIBSSH2_ERROR_KEX_FAILURE || result == LIBSSH2_ERROR_METHOD_NONE) {
    throw base::Error(Fault::usage, fmt::format("'{}' and libssh2 have no algorithms in common ({})",
                                                target.host.host_name, ssh_message(session)))
        .add_hint("the server needs an Ed25519 or ECDSA host key and an AES-CTR cipher");
  }
  if (result != 0) {
    base::fail(Fault::unavailable, "no SSH handshake with '{}' port {}: {}", target.host.host_name, *target.host.port,
               ssh_message(session));
  }
}

void check_host_key(LIBSSH2_SESSION* session, const SshTarget& target) {
  const HostKey key = shown_key(session);
  const std::string name = shown_name(target);
  const std::string print = fingerprint(session);
  switch (load_known_hosts(target).judge(target.host.host_name, *target.host.port, key)) {
    case HostKeyVerdict::known: return;
    case HostKeyVerdict::revoked:
      throw base::Error(Fault::denied,
                        fmt::format("the host key of '{}' ({} {}) is marked as revoked", name, key.type, print))
          .add_hint("talk to nobody who shows this key; ask the server's administrator");
    case HostKeyVerdict::changed:
      throw base::Error(
          Fault::conflict,
          fmt::format("THE HOST KEY OF '{}' HAS CHANGED to {} {}: somebody may be in between", name, key.type, print))
          .add_hint(fmt::format("only when the server's administrator confirms that fingerprint: ssh-keygen -R {} -f "
                                "{}, then icecore init --accept-new-host-key -r {}",
                                base::shell_word(name),
                                base::shell_word(target.host.known_hosts_files.front().string()),
                                base::shell_word(target.url)));
    case HostKeyVerdict::unknown: break;
  }
  if (!target.accept_new_host_key) {
    throw base::Error(Fault::denied, fmt::format("the host key of '{}' is not known: {} {}", name, key.type, print))
        .add_hint(fmt::format("compare that fingerprint, then: icecore init --accept-new-host-key -r {}",
                              base::shell_word(target.url)));
  }
  learn_host_key(target.host.known_hosts_files.front(), target.host.host_name, *target.host.port, key);
}

std::string ssh_message(LIBSSH2_SESSION* session) {
  char* text = nullptr;
  const int code = libssh2_session_last_error(session, &text, nullptr, 0);
  return text != nullptr && *text != '\0' ? text : fmt::format("libssh2 error {}", code);
}

}  // namespace icecore::storage
