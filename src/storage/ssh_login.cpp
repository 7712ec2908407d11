// SPDX-License-Identifier: Apache-2.0
#include "storage/ssh_login.hpp"

#include <libssh2.h>
#include <strings.h>

#include <cstdlib>
#include <cstring>
#include <optional>
#include <span>

#include "base/durable_file.hpp"
#include "base/error.hpp"
#include "base/private_file.hpp"
#include "base/shell_word.hpp"
#include "storage/known_hosts.hpp"
#include "storage/ssh_agent.hpp"

namespace icecore::storage {

using base::Fault;

namespace {

// A passphrase or password; wiped when it is no longer needed.
class SecretText {
 public:
  SecretText() = default;
  explicit SecretText(std::string text) : text_(std::move(text)) {}
  SecretText(const SecretText&) = delete;
  SecretText& operator=(const SecretText&) = delete;
  ~SecretText() { ::explicit_bzero(text_.data(), text_.size()); }
  const std::string& text() const noexcept { return text_; }
  bool empty() const noexcept { return text_.empty(); }

 private:
  std::string text_;
};

const char* variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

// The first line of the file the variable names.
SecretText secret_from_file(const char* name) {
  constexpr std::uint64_t k_bytes_max = 4096;
  const char* file = variable(name);
  if (file == nullptr) return {};
  base::Bytes bytes = base::read_private_file(file, k_bytes_max, name);
  const base::ScopeExit forget([&] { ::explicit_bzero(bytes.data(), bytes.size()); });
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return SecretText(std::string(text.substr(0, text.find_first_of("\r\n"))));
}

SecretText password() {
  if (variable("ICECORE_SSH_PASSWORD_FILE") != nullptr) return secret_from_file("ICECORE_SSH_PASSWORD_FILE");
  const char* text = variable("ICECORE_SSH_PASSWORD");
  return SecretText(text == nullptr ? "" : text);
}

class Login {
 public:
  Login(LIBSSH2_SESSION* session, const SshTarget& target, const SshWait& wait, const std::stop_token& stop)
      : session_(session), target_(target), user_(target.host.user), wait_(wait), stop_(stop) {}

  void run() {
    const std::string offered = offered_methods();
    if (libssh2_userauth_authenticated(session_) != 0) return;
    const bool keys = offered.find("publickey") != std::string::npos;
    if (keys && (with_agent() || with_key_files())) return;
    if (with_password(offered)) return;
    refuse(offered);
  }

 private:
  std::string offered_methods() {
    const char* list = nullptr;
    const int result = step([&] {
      list = libssh2_userauth_list(session_, user_.c_str(), static_cast<unsigned>(user_.size()));
      return list != nullptr ? 0 : libssh2_session_last_errno(session_);
    });
    if (list == nullptr && result != 0) fail_lost(result);
    return list == nullptr ? "" : list;
  }

  bool with_agent() {
    if (target_.agent.empty()) return false;
    Signing signing;
    int count = 0;
    if (open_agent(signing)) {
      for (const base::Bytes& key : signing.agent->keys()) {
        if (!may_offer(key)) continue;
        ++count;
        if (offer(key, signing)) return true;
      }
    }
    const std::string text = signing.trouble ? signing.trouble->what() : fmt::format("{} keys", count);
    tried_ += fmt::format(", ssh-agent ({})", text);
    return false;
  }

  struct Signing {
    std::optional<SshAgent> agent;
    base::ByteView key;
    std::optional<base::Error> trouble;  // why the agent does no more
  };

  bool open_agent(Signing& signing) const {
    try {
      signing.agent.emplace(target_.agent, SshAgentDeadlines{}, stop_);
      return true;
    } catch (const base::Error& error) {
      signing.trouble = error;
      return false;
    }
  }

  bool offer(base::ByteView key, Signing& signing) {
    signing.key = key;
    void* abstract = &signing;
    return accepted(step([&] {
      return libssh2_userauth_publickey(session_, user_.c_str(), reinterpret_cast<const unsigned char*>(key.data()),
                                        key.size(), &sign, &abstract);
    }));
  }

  // libssh2's callback; it frees what it gets.
  static int sign(LIBSSH2_SESSION*, unsigned char** signature, std::size_t* size, const unsigned char* data,
                  std::size_t count, void** abstract) {
    Signing& signing = *static_cast<Signing*>(*abstract);
    if (signing.trouble) return -1;
    try {
      const base::Bytes made = signing.agent->sign(signing.key, std::as_bytes(std::span(data, count)));
      *signature = static_cast<unsigned char*>(std::malloc(made.size()));
      if (*signature == nullptr) return -1;
      std::memcpy(*signature, made.data(), made.size());
      *size = made.size();
      return 0;
    } catch (const base::Error& error) {
      if (error.fault() != Fault::denied) signing.trouble = error;
      return -1;
    }
  }

  // With IdentitiesOnly an agent's key counts only when it is one of the key files, by its public half.
  bool may_offer(base::ByteView key) const {
    if (!target_.host.identities_only) return true;
    const std::string blob = to_base64(key);
    for (std::filesystem::path file : target_.host.identity_files) {
      file += ".pub";
      std::error_code missing;
      if (!std::filesystem::exists(file, missing)) continue;
      if (base::to_string(base::read_file(file)).find(blob) != std::string::npos) return true;
    }
    return false;
  }

  bool with_key_files() {
    const SecretText passphrase = secret_from_file("ICECORE_SSH_KEY_PASSPHRASE_FILE");
    for (const std::filesystem::path& file : target_.host.identity_files) {
      std::error_code missing;
      if (!std::filesystem::exists(file, missing)) continue;
      const int result = step([&] {
        return libssh2_userauth_publickey_fromfile_ex(session_, user_.c_str(), static_cast<unsigned>(user_.size()),
                                                      nullptr, file.c_str(), passphrase.text().c_str());
      });
      if (accepted(result)) return true;
      tried_ += fmt::format(", {}", file.string());
      if (result == LIBSSH2_ERROR_FILE) {
        tried_ += passphrase.empty() ? " (unreadable: does it need a passphrase?)" : " (unreadable: wrong passphrase?)";
        needs_passphrase_ = true;
      }
    }
    return false;
  }

  bool with_password(const std::string& offered) {
    const SecretText secret = password();
    if (secret.empty()) return false;
    const unsigned user_bytes = static_cast<unsigned>(user_.size());
    if (offered.find("password") != std::string::npos) {
      tried_ += ", the password";
      return accepted(step([&] {
        return libssh2_userauth_password_ex(session_, user_.c_str(), user_bytes, secret.text().c_str(),
                                            static_cast<unsigned>(secret.text().size()), nullptr);
      }));
    }
    if (offered.find("keyboard-interactive") == std::string::npos) return false;
    tried_ += ", the password (keyboard-interactive)";
    *libssh2_session_abstract(session_) = const_cast<SecretText*>(&secret);
    return accepted(
        step([&] { return libssh2_userauth_keyboard_interactive_ex(session_, user_.c_str(), user_bytes, &answer); }));
  }

  // libssh2's callback: every question that hides its answer is for the password.
  static void answer(const char*, int, const char*, int, int count, const LIBSSH2_USERAUTH_KBDINT_PROMPT* prompts,
                     LIBSSH2_USERAUTH_KBDINT_RESPONSE* responses, void** abstract) {
    const SecretText& secret = *static_cast<const SecretText*>(*abstract);
    for (int i = 0; i < count; ++i) {
      const std::string text = prompts[i].echo == 0 ? secret.text() : "";
      responses[i].text = ::strdup(text.c_str());
      responses[i].length = static_cast<unsigned>(text.size());
    }
  }

  [[noreturn]] void refuse(const std::string& offered) const {
    const std::string tried = tried_.empty() ? "there is no key or password to try" : "tried " + tried_.substr(2);
    base::Error error(Fault::denied, fmt::format("'{}' lets '{}' in by {}, and refuses us: {}", target_.host.host_name,
                                                 user_, offered, tried));
    if (needs_passphrase_) error.add_hint("ICECORE_SSH_KEY_PASSPHRASE_FILE=FILE names a file with the passphrase");
    throw error.add_hint(
        fmt::format("ssh-copy-id -p {} {} (an Ed25519 or ECDSA key: ssh-keygen -t ed25519; RSA keys work with old "
                    "servers alone)",
                    *target_.host.port, base::shell_word(user_ + "@" + target_.host.host_name)));
  }

  template <typename Step>
  int step(Step&& action) {
    return finish_step(std::forward<Step>(action), wait_);
  }
  // False: try the next. A lost connection is no refusal.
  bool accepted(int result) {
    if (result == LIBSSH2_ERROR_SOCKET_RECV || result == LIBSSH2_ERROR_SOCKET_SEND ||
        result == LIBSSH2_ERROR_SOCKET_DISCONNECT) {
      fail_lost(result);
    }
    return result == 0;
  }
  [[noreturn]] void fail_lost(int result) const {
    // A server hangs up on too many wrong keys.
    if (!tried_.empty()) refuse("something else");
    base::fail(Fault::unavailable, "'{}' hung up during the login: {} ({})", target_.host.host_name,
               ssh_message(session_), result);
  }

  LIBSSH2_SESSION* session_;
  const SshTarget& target_;
  const std::string& user_;
  const SshWait& wait_;
  const std::stop_token& stop_;
  std::string tried_;
  bool needs_passphrase_ = false;
};

}  // namespace

void authenticate(LIBSSH2_SESSION* session, const SshTarget& target, const SshWait& wait, const std::stop_token& stop) {
  Login(session, target, wait, stop).run();
}

}  // namespace icecore::storage
