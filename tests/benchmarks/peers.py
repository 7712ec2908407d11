# SPDX-License-Identifier: Apache-2.0
"""The tools that are measured side by side: each turns a step into one bash command line."""

import os
import shutil


class Icecore:
    name = "icecore"

    def __init__(self, program):
        self.program = program

    def available(self):
        return True

    def environment(self, place):
        return {
            "ICECORE_REPOSITORY": f"{place.store}/repository",
            "ICECORE_KEY_FILE": f"{place.store}/key",
            "ICECORE_STATE_DIR": f"{place.store}/state",
        }

    def prepare(self, place):
        return f"'{self.program}' init"

    def full(self, place):
        return f"'{self.program}' -q backup {place.domain} --quiesce off"

    def second(self, place):
        """By content: what the first backups of raw disks cost again."""
        return f"{self.full(place)} --change-map scan"

    def first(self, place):
        """A full backup that increments can follow."""
        return self.full(place)

    def increment(self, place):
        return self.full(place)

    def restore(self, place):
        return f"'{self.program}' -q restore {place.domain} --disks-only --to {place.out}"

    def stored(self, place):
        return f"{place.store}/repository"


class NbdcopyZstd:
    """The yardstick: a stream of the whole disk through one compressor. No hash, no encryption, no dedup."""

    name = "nbdcopy|zstd -1"

    def available(self):
        return shutil.which("nbdcopy") is not None

    def environment(self, place):
        return {}

    def prepare(self, place):
        return "true"

    def full(self, place):
        return f"nbdcopy -- [ qemu-nbd -r -e 8 -f qcow2 {place.qcow2} ] - | zstd -1 -T0 -q -f -o {place.store}/disk.zst"

    def second(self, place):
        return None

    def restore(self, place):
        size, disk = os.path.getsize(place.raw), f"{place.out}/disk.qcow2"
        return (
            f"qemu-img create -q -f qcow2 {disk} {size} && zstd -dcq {place.store}/disk.zst | "
            f"nbdcopy -- - [ qemu-nbd -f qcow2 {disk} ]"
        )

    def stored(self, place):
        return f"{place.store}/disk.zst"


class Virtnbdbackup:
    name = "virtnbdbackup"

    def available(self):
        return shutil.which("virtnbdbackup") is not None

    def environment(self, place):
        return {}

    def prepare(self, place):
        return f"mkdir -p {place.store}/backup && chmod 777 {place.store} {place.store}/backup"

    def full(self, place):
        return f"virtnbdbackup -n -d {place.domain} -l copy -o {place.store}/backup"

    def first(self, place):
        return self.full(place).replace("-l copy", "-l full")

    def increment(self, place):
        return self.full(place).replace("-l copy", "-l inc")

    def second(self, place):
        return None

    def restore(self, place):
        return f"virtnbdrestore -n -L {place.store}/restore.log -i {place.store}/backup -o {place.out}"

    def stored(self, place):
        return f"{place.store}/backup"


class Restic:
    """Increments only: on the image file of a domain that stands still, which spares it snapshot and commit."""

    name = "restic"

    def available(self):
        return shutil.which("restic") is not None

    def environment(self, place):
        return {
            "RESTIC_PASSWORD": "benchmark",
            "RESTIC_REPOSITORY": f"{place.store}/repository",
            "RESTIC_CACHE_DIR": f"{place.store}/cache",
        }

    def prepare(self, place):
        return "restic -q init"

    def first(self, place):
        return f"restic -q backup {place.qcow2}"

    def increment(self, place):
        return self.first(place)

    def stored(self, place):
        return f"{place.store}/repository"


class Borg:
    """On the raw file itself, which spares it the way through qemu-nbd; increments on the image file, as restic."""

    name = "borg zstd,3"

    def available(self):
        return shutil.which("borg") is not None

    def environment(self, place):
        return {
            "BORG_PASSPHRASE": "benchmark",
            "BORG_BASE_DIR": f"{place.store}/home",
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        }

    def prepare(self, place):
        return f"mkdir -p {place.store}/home && borg init -e repokey-blake2 {place.store}/repository"

    def _create(self, place, image, archive):
        return (
            f"cd {os.path.dirname(image)} && borg create --compression zstd,3 --chunker-params fixed,4194304 "
            f"--files-cache disabled {place.store}/repository::{archive} {os.path.basename(image)}"
        )

    def full(self, place):
        return self._create(place, place.raw, "first")

    def second(self, place):
        return self._create(place, place.raw, "second")

    def first(self, place):
        return self._create(place, place.qcow2, "first")

    def increment(self, place):
        return self._create(place, place.qcow2, "second")

    def restore(self, place):
        return f"cd {place.out} && borg extract --sparse {place.store}/repository::first"

    def stored(self, place):
        return f"{place.store}/repository"
