# SPDX-License-Identifier: Apache-2.0
# What examples/quickstart does behind the scenes: build, libvirt, the demo guest and the undoing of it all.
# shellcheck shell=bash disable=SC2154  # project, work: the script's that sources this
demo=${ICECORE_DEMO:-icecore-demo} # the test of this example gives it a name of its own, and a built icecore
restored=$demo-restored
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C.UTF-8 LIBVIRT_DEFAULT_URI=qemu:///system

build() {
  local quiet=()
  if [ -n "${ICECORE_BINARY:-}" ]; then
    PATH=$(dirname "$ICECORE_BINARY"):$PATH
    return
  fi
  [ -t 1 ] || quiet=(-- --quiet)
  cmake --preset release --log-level=WARNING -DBUILD_TESTING=OFF >/dev/null
  cmake --build --preset release --target icecore "${quiet[@]}"
  PATH=$project/build/release/src:$PATH
}

# libvirt and the janitor (tests/rig/janitor): it is told of each thing before it is made, and undoes them all when
# descriptor 5 closes, however we end. Descriptor 9 says that we use libvirt.
prepare() {
  SECONDS=0
  mkdir -p /run/lock
  exec 9>/run/lock/icecore-rig.users
  flock -s 9
  tests/rig/libvirt-daemons
  local name
  for name in "$demo" "$restored"; do
    ! virsh -q domuuid "$name" >/dev/null 2>&1 || { echo "quickstart: a domain '$name' exists; remove it first" >&2; exit 1; }
  done
  exec 5> >(exec 9>&- setsid "$project/tests/rig/janitor" qemu:///system)
  janitor=$!
  trap clean_up EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  work=/var/tmp/icecore-quickstart.$$
  printf 'folder %s\ndomain %s\ndomain %s\n' "$work" "$demo" "$restored" >&5
  mkdir "$work"
  chmod 755 "$work" # libvirt's QEMU user passes through
  export ICECORE_STATE_DIR=$work/state
}

clean_up() {
  trap '' INT TERM
  exec 5>&-
  wait "$janitor"
  exec 9>&-
  # When libvirt was started for us it stops now; when others use it, it stays.
  flock -x -w 10 /run/lock/icecore-rig.keeper true 2>/dev/null || true
}

# A 512 MiB disk with an ext4 of a few folders: texts, and 48 MiB that look like a database.
make_demo_guest() {
  local image files=$work/files i
  image=$(tests/rig/guest-image)
  mkdir -p "$files"/{documents,database}
  for i in $(seq 20); do
    seq -f "line %.0f of document $i" 2000 >"$files/documents/$i.txt"
  done
  for i in 1 2 3; do
    head -c 16M /dev/urandom >"$files/database/table-$i"
  done
  truncate -s 512M "$work/disk.raw"
  mke2fs -q -F -t ext4 -d "$files" "$work/disk.raw"
  qemu-img convert -f raw -O qcow2 "$work/disk.raw" "$work/$demo.qcow2"
  rm -rf "$work/disk.raw" "$files"
  demo_xml "$image" >"$work/$demo.xml"
  virsh -q define "$work/$demo.xml"
}

demo_xml() { # IMAGE-FOLDER
  cat <<XML
<domain type='qemu'>
  <name>$demo</name><memory unit='MiB'>192</memory><vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>$1/vmlinuz</kernel><initrd>$1/initrd</initrd><cmdline>console=ttyS0 quiet rdinit=/init</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='custom'><model>qemu64</model></cpu>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/><source file='$work/$demo.qcow2'/><target dev='vda' bus='virtio'/>
    </disk>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <serial type='null'/>
  </devices>
</domain>
XML
}

agent() { virsh -q qemu-agent-command "$1" "$2"; } # DOMAIN JSON

wait_agent() { # DOMAIN
  local i
  for i in $(seq 300); do
    ! agent "$1" '{"execute":"guest-ping"}' >/dev/null 2>&1 || return 0
    sleep 0.2
  done
  echo "quickstart: the guest agent of '$1' did not answer within a minute" >&2
  exit 1
}

in_guest() { # DOMAIN COMMAND: its output; the command has no quotes and no backslash in it
  local pid status
  pid=$(agent "$1" '{"execute":"guest-exec","arguments":{"path":"/bin/sh","arg":["-c","'"$2"'"],"capture-output":true}}' |
    grep -o '[0-9]\+')
  until status=$(agent "$1" '{"execute":"guest-exec-status","arguments":{"pid":'"$pid"'}}') &&
    [[ $status == *'"exited":true'* ]]; do sleep 0.1; done
  sed -n 's/.*"out-data":"\([^"]*\)".*/\1/p' <<<"$status" | base64 -d
}

checksums() { in_guest "$1" 'find /mnt -type f -exec sha256sum {} + | sort -k2'; } # DOMAIN
# How many files of the guest are what they were before the damage.
same_files() { checksums "$1" | sort | comm -12 - <(sort "$work/before") | wc -l; } # DOMAIN

damage() {
  local command='rm -rf /mnt/documents; dd if=/dev/zero of=/mnt/database/table-1 bs=1M count=16 2>/dev/null; sync'
  say "In the guest: $command"
  in_guest "$demo" "$command"
}
