// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/disk_encryption.hpp"

#include <fmt/format.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include <cstdlib>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/handle.hpp"
#include "base/shell_word.hpp"
#include "hypervisor/libvirt_error.hpp"
#include "hypervisor/xml_document.hpp"

namespace icecore::hypervisor {

namespace {

using base::Fault;
using SecretHandle = std::unique_ptr<virSecret, base::FreeWith<&virSecretFree>>;
using ValueHandle = std::unique_ptr<unsigned char, base::FreeWith<&std::free>>;

struct SecretName {
  std::string uuid;   // empty: named by what it is used for
  std::string usage;  // of usage type volume, as libvirt itself looks it up for a disk

  // For commands and messages.
  const std::string& text() const noexcept { return uuid.empty() ? usage : uuid; }
};

XmlDocument parse(std::string_view encryption) { return XmlDocument::parse(encryption, "a disk's <encryption>"); }

SecretName secret_of(std::string_view encryption) {
  const XmlDocument document = parse(encryption);
  const XmlNode secret = document.root().child("secret");
  return {secret.attribute("uuid"), secret.attribute("usage")};
}

// Nothing when there is none of that name.
SecretHandle find_secret(Connection& connection, const SecretName& name) {
  SecretHandle secret(name.uuid.empty()
                          ? virSecretLookupByUsage(connection.raw(), VIR_SECRET_USAGE_TYPE_VOLUME, name.usage.c_str())
                          : virSecretLookupByUUIDString(connection.raw(), name.uuid.c_str()));
  if (secret) return secret;
  const LibvirtError error = last_libvirt_error();
  // A libvirt without secrets has this one neither.
  if (error.code != VIR_ERR_NO_SECRET && error.code != VIR_ERR_NO_SUPPORT)
    throw_libvirt_error(error, "looking for secret " + name.text());
  return nullptr;
}

// The value, or why there is none.
std::optional<base::Passphrase> read_value(virSecretPtr secret, LibvirtError& error) {
  std::size_t size = 0;
  const ValueHandle value(virSecretGetValue(secret, &size, 0));
  if (!value) {
    error = last_libvirt_error();
    return std::nullopt;
  }
  base::Passphrase passphrase(std::string(reinterpret_cast<const char*>(value.get()), size));
  ::explicit_bzero(value.get(), size);
  return passphrase;
}

SecretProblem no_secret(const SecretName& name) {
  return {
      fmt::format("this libvirt has no secret {}", name.text()),
      fmt::format("define it where the disk shall run: virsh secret-define FILE (with <uuid> or <usage> of {0}), then "
                  "virsh secret-set-value {1} --interactive",
                  name.text(), name.uuid.empty() ? "UUID" : name.uuid)};
}

SecretProblem no_value(virSecretPtr secret, const SecretName& name) {
  char uuid[VIR_UUID_STRING_BUFLEN] = "";
  virSecretGetUUIDString(secret, uuid);
  return {fmt::format("secret {} has no value", name.text()),
          fmt::format("virsh secret-set-value {} --interactive", uuid)};
}

[[noreturn]] void fail(Fault fault, SecretProblem problem) {
  base::Error error(fault, std::move(problem.what));
  throw error.add_hint(std::move(problem.cure));
}

}  // namespace

std::string encryption_objection(const DiskModel& disk) {
  if (disk.encryption.empty()) return {};
  const XmlDocument document = parse(disk.encryption);
  const XmlNode root = document.root();
  const std::string format = root.attribute("format");
  if (format != "luks") return fmt::format("QEMU encrypts it as '{}'; only 'luks' can be taken", format);
  if (disk.source.format != "qcow2")
    return fmt::format("QEMU encrypts it as a whole (LUKS in {}); only LUKS in qcow2 can be taken", disk.source.format);
  if (disk.source.kind == SourceKind::block)
    return "QEMU encrypts it on a block device; only an encrypted image in a file can be taken, which is kept as it is";
  const auto secrets = root.children("secret");
  const bool named = secrets.size() == 1 && !secret_of(disk.encryption).text().empty();
  return named ? "" : "QEMU encrypts it, and its XML does not name one secret for that";
}

std::string overlay_encryption(std::string_view encryption) {
  const XmlDocument document = parse(encryption);
  document.root().set_attribute("engine", "qemu");
  return document.text();
}

base::Passphrase read_passphrase(Connection& connection, std::string_view encryption) {
  const SecretName name = secret_of(encryption);
  const SecretHandle secret = find_secret(connection, name);
  if (!secret) fail(Fault::not_found, no_secret(name));
  LibvirtError error;
  if (std::optional<base::Passphrase> value = read_value(secret.get(), error)) return std::move(*value);
  if (error.code == VIR_ERR_NO_SECRET) fail(Fault::not_found, no_value(secret.get(), name));
  if (error.code != VIR_ERR_INVALID_SECRET) throw_libvirt_error(error, "reading the value of secret " + name.text());
  fail(Fault::denied,
       {fmt::format("secret {} is private, so that libvirt tells its value to nobody but QEMU", name.text()),
        "define it again with private='no' (virsh secret-dumpxml, secret-undefine, secret-define, secret-set-value): "
        "what the guest wrote meanwhile could not be merged without it once the domain is off"});
}

SecretProblem find_secret_problem(Connection& connection, std::string_view encryption) {
  const SecretName name = secret_of(encryption);
  if (name.text().empty()) return {};
  const SecretHandle secret = find_secret(connection, name);
  if (!secret) return no_secret(name);
  LibvirtError error;
  const bool has_value = read_value(secret.get(), error).has_value() || error.code != VIR_ERR_NO_SECRET;
  return has_value ? SecretProblem{} : no_value(secret.get(), name);
}

}  // namespace icecore::hypervisor
