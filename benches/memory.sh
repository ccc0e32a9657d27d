#!/usr/bin/env bash
# Peak memory of a sync between two nodes, of the client that runs it and of the node that serves: the first upload, a run with nothing changed,
# one with 100 files changed, and the first download of another client.
# Usage: benches/memory.sh [FILES [BYTES [FOLDERS]]]   default: 100000 files of 1024 bytes, a folder for every 1000
#        benches/memory.sh --smoke                     small
# BYTES must be 16 at least.
# Fails when anything needs more than LIMIT MiB (default 190, which is 200 MB). TWINLENS_BINARY names another program than the release build.
# Needs python3, GNU time and two to three times the room of the files (at least 4 KiB each). TMPDIR says where.
set -euo pipefail
cd "$(dirname "$0")/.."
twinlens=${TWINLENS_BINARY:-${CARGO_TARGET_DIR:-$PWD/target}/release/twinlens}
limit=${LIMIT:-190}
. benches/servers.sh

case ${1:-} in
  --smoke) files=300 bytes=100 folders=3 ;;
  *) files=${1:-100000} bytes=${2:-1024} folders=${3:-$(((${1:-100000} + 999) / 1000))} ;;
esac
too_much=0

make() { # folder
  python3 - "$1" "$files" "$bytes" "$folders" <<'MAKE'
import os, sys
root, files, size, folders = sys.argv[1], *map(int, sys.argv[2:])
padding, each = os.urandom(size), (files + folders - 1) // folders
for number in range(files):
    folder = f"{root}/{2000 + number // each}"
    if number % each == 0:
        os.mkdir(folder)
    with open(f"{folder}/IMG_{number:07}.jpg", "wb") as file:
        file.write((b"%08d" % number + padding)[:size])
MAKE
}

# peak WHAT KIB SECONDS
peak() {
  awk -v name="$1" -v kib="$2" -v seconds="${3:-}" 'BEGIN { printf "  %-44s %8.1f MiB peak %9s\n", name, kib / 1024, (seconds == "" ? "" : seconds " s") }'
  [ "$2" -le $((limit * 1024)) ] || too_much=1
}

# run NAME WANTED: a sync that must report WANTED
run() {
  /usr/bin/time -f "%e %M" -o "$work/time" "$twinlens" sync >"$work/out" 2>"$work/err" || { echo "$1 failed" >&2; tail -n 5 "$work/err" "$work/out" >&2; exit 1; }
  grep -q "$2" "$work/out" || { head -n 5 "$work/out" >&2; exit 1; }
  read -r seconds kib < <(tail -n 1 "$work/time")
  peak "client, $1" "$kib" "$seconds"
  peak "node, until then" "$(awk '/VmHWM/ { print $2 }' "/proc/${pids[0]}/status")"
}

client() { # name
  export TWINLENS_DATA=$work/$1/data TWINLENS_LIBRARY=$work/$1/library
  mkdir -p "$TWINLENS_LIBRARY"
  echo "$TWINLENS_ADMIN_PASSWORD" | "$twinlens" service add peer "$url" --user admin --password-stdin >/dev/null
  "$twinlens" service sync peer --upload yes >/dev/null
}

serve node

echo "$files files of $bytes bytes in $folders folders, node to node"
client up
make "$TWINLENS_LIBRARY"
run "first upload" "$files uploaded"
run "nothing changed" "up to date\|nothing\|0 uploaded"
every=$(((files + 99) / 100))
find "$TWINLENS_LIBRARY" -name '*.jpg' -not -path '*/.twinlens/*' | sort | awk -v every=$every 'NR % every == 0' >"$work/changed"
while read -r file; do printf changed! | dd of="$file" bs=8 seek=1 conv=notrunc status=none; done <"$work/changed"
count=$(wc -l <"$work/changed")
run "$count changed" "$count uploaded"
client down
run "first download" "$files downloaded"
run "nothing changed" ""
[ $too_much = 0 ] || { echo "more than $limit MiB" >&2; exit 1; }
