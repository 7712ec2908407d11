# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034  # the harness reads the variables
# A tool file for a side-by-side harness: it gives DOM, REPO, OUT, STATE and TMPD and calls these functions.
# ICECORE names the program; the domain's guest agent is not asked (the harness keeps the guest paused).
TITLE="icecore (hash, dedup, zstd, encrypted)"
FORMATS="qcow2 raw"
: "${ICECORE:=icecore}"
export ICECORE_REPOSITORY=${REPO:-} ICECORE_KEY_FILE=${TMPD:-/tmp}/icecore.key ICECORE_STATE_DIR=${STATE:-/tmp}/icecore

init() {
  rm -f "$ICECORE_KEY_FILE"
  "$ICECORE" init
}
full() { "$ICECORE" backup "$DOM" --quiesce off; }
inc() { full; }
restore() {
  "$ICECORE" restore "$DOM" --disks-only --to "$OUT"
  # The harness wants the name vda.FORMAT.
  local made
  made=$(find "$OUT" -type f | head -n 1)
  [ -e "$OUT/vda.${made##*.}" ] || mv "$made" "$OUT/vda.${made##*.}"
}
version() { "$ICECORE" version; }
