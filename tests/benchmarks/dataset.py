# SPDX-License-Identifier: Apache-2.0
"""The benchmark disk: 8 GiB ext4 with this machine's /usr files, noise, and database-like pages; fixed seeds."""

import os
import random
import shutil
import subprocess

MIB = 2**20
USR_FOLDERS = ["bin", "sbin", "include", "share", "libexec", "lib"]


def write_noise(path, mib):
    generator = random.Random(4712)
    with open(path, "wb") as file:
        for _ in range(mib):
            file.write(generator.randbytes(MIB))


def write_database(path, mib):
    """4 KiB pages, half random, half zeros or a repeating row."""
    generator = random.Random(4711)

    def page():
        half = generator.randbytes(2048)
        rest = bytes(2048) if generator.random() < 0.5 else (b"%08x|row|" % generator.getrandbits(32) * 158)[:2048]
        return half + rest if generator.random() < 0.5 else rest + half

    with open(path, "wb") as file:
        for _ in range(mib):
            file.write(b"".join(page() for _ in range(MIB // 4096)))


def copy_usr(folder, bytes_max):
    """The first files of /usr in sorted order, up to bytes_max."""
    done = 0
    for name in USR_FOLDERS:
        for place, folders, files in os.walk(os.path.join("/usr", name)):
            folders.sort()
            target = os.path.join(folder, place.lstrip("/"))
            os.makedirs(target, exist_ok=True)
            for file in sorted(files):
                source = os.path.join(place, file)
                if os.path.islink(source) or not os.path.isfile(source):
                    continue
                done += os.path.getsize(source)
                if done > bytes_max:
                    return
                shutil.copyfile(source, os.path.join(target, file))


def make_disk(folder):
    """Makes folder/disk.raw and folder/disk.qcow2, once."""
    raw, qcow2 = os.path.join(folder, "disk.raw"), os.path.join(folder, "disk.qcow2")
    if os.path.exists(qcow2):
        return raw, qcow2
    stage = os.path.join(folder, "stage")
    os.makedirs(stage, exist_ok=True)
    write_database(os.path.join(stage, "database"), 512)
    write_noise(os.path.join(stage, "noise"), 256)
    copy_usr(os.path.join(stage, "files"), 2048 * MIB)
    with open(raw, "wb") as file:
        file.truncate(8192 * MIB)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-m", "1", "-E", "nodiscard", "-d", stage, raw], check=True)
    shutil.rmtree(stage)
    temporary = qcow2 + ".tmp"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, temporary], check=True)
    os.rename(temporary, qcow2)
    return raw, qcow2


def make_sparse(path, size):
    """256 MiB of data at 512 MiB in a disk of that size; made anew."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, size], check=True)
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 1 512M 256M", path], check=True, stdout=subprocess.DEVNULL)


def make_sparse_terabyte(path):
    """A 1 TiB qcow2 with 256 MiB in one place and 2,000 clusters all over it."""
    commands = ["write -P 1 300G 256M"]
    commands += [f"write -P {1 + i % 250} {i * 524}M 64k" for i in range(2000)]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1T"], check=True)
    subprocess.run(["qemu-io", "-f", "qcow2", path], input="\n".join(commands), text=True, check=True,
                   stdout=subprocess.DEVNULL)
