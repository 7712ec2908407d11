// SPDX-License-Identifier: Apache-2.0
// Whether a QEMU program has an image open. Each locks bytes of the files it opens (QEMU, block/file-posix.c): unlike a
// libvirt's word that speaks of every libvirt and of QEMUs that have none, and, where the file system shares its locks
// (NFS 4, GFS2, OCFS2, CephFS), of other hosts. Those of a device are known on this host alone.
#pragma once

#include <filesystem>

namespace icecore::disk {

enum class ImageUser {
  any,     // but one that lets others write meanwhile, as `qemu-img info -U` does
  writer,  // one that may write to it
};

// Of an image that exists. False, too, where locks are not to be had or QEMU was told to do without. It may be another
// the next moment: a hint for who is about to hurt somebody, no lock of our own.
bool is_open_in_qemu(const std::filesystem::path& image, ImageUser user);

}  // namespace icecore::disk
