#!/usr/bin/env bash
# Bulk sync in both directions, node to node and with Apache's mod_dav, beside `rclone copy` and beside bare parallel curl, in one run.
# Usage: benches/sync.sh [FILES [BYTES [FOLDERS]]]     default: 10000 files of 20480 bytes in 100 folders
#        benches/sync.sh --large [FILES [MIB]]         default: 10 files of 200 MiB, beside one curl
#        benches/sync.sh --many [FILES]                default: 100000 files of 1 KB in 100 folders: first upload, nothing changed, and two
#                                                      libraries with the same contents under other folders
#        benches/sync.sh --smoke                       all of them, small
# Needs a release build (cargo build --release), apache2, rclone, curl and GNU time. All on loopback, as the user who runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
twinlens=${CARGO_TARGET_DIR:-$PWD/target}/release/twinlens
. benches/servers.sh
transfers=16
export RCLONE_CONFIG=$work/rclone.conf

# make FILES BYTES FOLDERS DIR
make() {
  python3 - "$@" <<'EOF'
import os, sys
files, size, folders, at = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
per = (files + folders - 1) // folders
for number in range(files):
    folder = f"{at}/{2000 + number // per}"
    if number % per == 0:
        os.makedirs(folder)
    with open(f"{folder}/IMG_{number:06}.jpg", "wb") as file:
        file.write(os.urandom(size))
EOF
}

# timed NAME FILES command...: seconds, files a second, seconds of the processor, peak memory
timed() {
  local name=$1 count=$2
  shift 2
  /usr/bin/time -f "%e %M %U %S" -o "$work/time" "$@" >"$work/out" 2>"$work/err" || { echo "$name failed" >&2; tail -n 5 "$work/err" "$work/out" >&2; exit 1; }
  tail -n 1 "$work/time" | awk -v name="$name" -v count="$count" \
    '{ printf "  %-36s %8.2f s %8.0f files/s %7.2f s CPU %7.1f MiB peak\n", name, $1, ($1 > 0 ? count / $1 : 0), $3 + $4, $2 / 1024 }'
}

# client NAME URL: a library of its own that is paired with the service; uploads and downloads
client() {
  export TWINLENS_DATA=$work/$1/data TWINLENS_LIBRARY=$work/$1/library
  mkdir -p "$TWINLENS_LIBRARY"
  echo "$TWINLENS_ADMIN_PASSWORD" | "$twinlens" service add peer "$2" --user admin --password-stdin >/dev/null
  "$twinlens" service sync peer --upload yes >/dev/null
}

# remote URL: rclone's idea of it
remote() {
  export RCLONE_CONFIG_PEER_TYPE=webdav RCLONE_CONFIG_PEER_VENDOR=other RCLONE_CONFIG_PEER_URL=$1 RCLONE_CONFIG_PEER_USER=admin
  RCLONE_CONFIG_PEER_PASS=$(rclone obscure "$TWINLENS_ADMIN_PASSWORD")
  export RCLONE_CONFIG_PEER_PASS
}

copy() { rclone copy --transfers "$transfers" --checkers "$transfers" "$@"; }
export -f copy
export transfers

# puts URL DIR: a curl configuration that sends every file; gets URL DIR TARGET: one that fetches every file
puts() { (cd "$2" && find . -type f -printf '%P\n') | awk -v url="$1" -v dir="$2" '{ print "upload-file = \"" dir "/" $0 "\"\nurl = \"" url $0 "\"\noutput = /dev/null" }'; }
gets() { (cd "$2" && find . -type f -printf '%P\n') | awk -v url="$1" -v dir="$3" '{ print "url = \"" url $0 "\"\noutput = \"" dir "/" $0 "\"" }'; }
send() { curl -sf --user "admin:$TWINLENS_ADMIN_PASSWORD" --parallel --parallel-immediate --parallel-max "$transfers" --create-dirs -K "$1"; }
export -f send

small() { # peer's name, its address, files
  local name=$1 at=$2 count=$3 folder
  echo "$name, up"
  client "$name-up" "$at"
  cp -r "$work/photos/." "$TWINLENS_LIBRARY/"
  timed "twinlens sync (hash, send, prove)" "$count" "$twinlens" sync
  grep -q "$count uploaded" "$work/out" || { cat "$work/out"; exit 1; }
  timed "twinlens sync, nothing changed" "$count" "$twinlens" sync
  timed "twinlens sync, once more" "$count" "$twinlens" sync
  remote "$at"
  timed "rclone copy --transfers $transfers" "$count" bash -c "copy '$work/photos' peer:by-rclone"
  timed "rclone copy, nothing changed" "$count" bash -c "copy '$work/photos' peer:by-rclone"
  curl -sf --user "admin:$TWINLENS_ADMIN_PASSWORD" -X MKCOL "${at}by-curl/" >/dev/null
  for folder in "$work"/photos/*; do curl -sf --user "admin:$TWINLENS_ADMIN_PASSWORD" -X MKCOL "${at}by-curl/${folder##*/}/" >/dev/null; done
  puts "${at}by-curl/" "$work/photos" >"$work/curl.conf"
  timed "curl --parallel-max $transfers (no proof)" "$count" bash -c "send '$work/curl.conf'"
  for folder in by-rclone by-curl; do curl -sf --user "admin:$TWINLENS_ADMIN_PASSWORD" -X DELETE "$at$folder/" >/dev/null; done

  # As many as a hundredth, at least one, with as many bytes as before.
  find "$TWINLENS_LIBRARY" -name '*.jpg' -not -path '*/.twinlens/*' | sort | awk -v every=100 'NR % every == 1' >"$work/changed"
  while read -r file; do printf changed | dd of="$file" bs=1 conv=notrunc status=none; done <"$work/changed"
  timed "twinlens sync, $(wc -l <"$work/changed") changed" "$(wc -l <"$work/changed")" "$twinlens" sync
  grep -q "$(wc -l <"$work/changed") uploaded" "$work/out" || { cat "$work/out"; exit 1; }

  echo "$name, down"
  client "$name-down" "$at"
  timed "twinlens sync (fetch, check, hash)" "$count" "$twinlens" sync
  grep -q "$count downloaded" "$work/out" || { cat "$work/out"; exit 1; }
  timed "twinlens sync, nothing changed" "$count" "$twinlens" sync
  timed "twinlens sync, once more" "$count" "$twinlens" sync
  mkdir "$work/$name-rclone" "$work/$name-curl"
  timed "rclone copy --transfers $transfers" "$count" bash -c "copy peer: '$work/$name-rclone'"
  gets "$at" "$work/photos" "$work/$name-curl" >"$work/curl.conf"
  timed "curl --parallel-max $transfers (no check)" "$count" bash -c "send '$work/curl.conf'"
  diff -rq --exclude=.twinlens "$work/$name-up/library" "$TWINLENS_LIBRARY" || exit 1
}

large() { # files, MiB
  local at file
  mkdir -p "$work/large"
  for file in $(seq "$1"); do head -c $(($2 << 20)) /dev/urandom >"$work/large/MOV_$file.mov"; done
  serve large-node
  at=$url
  client large-up "$at"
  cp "$work"/large/* "$TWINLENS_LIBRARY/"
  echo "$1 files of $2 MiB, node to node"
  "$twinlens" index >/dev/null
  timed "twinlens sync, up" "$1" "$twinlens" sync
  puts "${at}by-curl/" "$work/large" >"$work/curl.conf"
  curl -sf --user "admin:$TWINLENS_ADMIN_PASSWORD" -X MKCOL "${at}by-curl/" >/dev/null
  timed "curl, up" "$1" curl -sf --user "admin:$TWINLENS_ADMIN_PASSWORD" -K "$work/curl.conf"
  curl -sf --user "admin:$TWINLENS_ADMIN_PASSWORD" -X DELETE "${at}by-curl/" >/dev/null
  client large-down "$at"
  timed "twinlens sync, down" "$1" "$twinlens" sync
  mkdir "$work/large-curl"
  gets "$at" "$work/large" "$work/large-curl" >"$work/curl.conf"
  timed "curl, down" "$1" curl -sf --user "admin:$TWINLENS_ADMIN_PASSWORD" -K "$work/curl.conf"
}

# of KEYS...: what the last timed `sync --json` says of them; the run must have gone well
of() {
  python3 - "$work/out" "$@" <<'EOF'
import json, sys
service = json.load(open(sys.argv[1]))["services"][0]
assert not service["failed"] and not service.get("error"), service
print("    " + ", ".join(f"{key} {service[key]:.3f}" if key == "seconds" else f"{key} {service[key]}" for key in sys.argv[2:]))
EOF
}

# peak PID: the most memory that a process had so far
peak() { awk '/^VmHWM/ { printf "    the node at the other end: %.1f MiB peak\n", $2 / 1024 }' "/proc/$1/status"; }

# through PID FILES: nothing changed, ten times through the running node
through() {
  local before after
  before=$(awk '{ print $14 + $15 }' "/proc/$1/stat")
  timed "10 x twinlens sync, running node" "$2" bash -c 'for _ in {1..10}; do "$1" sync --json; done' - "$twinlens"
  after=$(awk '{ print $14 + $15 }' "/proc/$1/stat")
  python3 - "$work/out" "$after" "$before" "$(getconf CLK_TCK)" <<'EOF'
import json, sys
runs = [json.loads(line)["services"][0] for line in open(sys.argv[1]) if line.strip()]
assert len(runs) == 10 and not any(run["failed"] or run.get("error") for run in runs), runs
seconds = [run["seconds"] for run in runs]
cpu = (int(sys.argv[2]) - int(sys.argv[3])) / int(sys.argv[4]) / len(runs)
requests = {run["requests"] for run in runs}
print(f"    each {min(seconds) * 1000:.1f} to {max(seconds) * 1000:.1f} ms, {cpu * 1000:.0f} ms CPU of the node, requests {requests}")
EOF
}

many() { # files
  local at there folders=$(($1 < 100 ? $1 : 100)) folder
  echo "$1 files of 1 KB in $folders folders"
  make "$1" 1024 "$folders" "$work/many"
  serve many-node
  at=$url there=${pids[-1]}

  echo "node"
  client many-up "$at"
  cp -r "$work/many/." "$TWINLENS_LIBRARY/"
  timed "twinlens sync, first upload" "$1" "$twinlens" sync --json
  of uploaded requests
  peak "$there"
  timed "twinlens sync, nothing changed" "$1" "$twinlens" sync --json
  timed "twinlens sync, once more" "$1" "$twinlens" sync --json
  of requests seconds
  serve many-up
  "$twinlens" sync >/dev/null
  through "${pids[-1]}" "$1"
  # It would go on looking after its library beside what is measured next.
  kill "${pids[-1]}"
  wait "${pids[-1]}" || true
  unset "pids[-1]"

  echo "node, the same contents under other folders"
  client many-pair "$at"
  for folder in "$work"/many/*; do cp -r "$folder" "$TWINLENS_LIBRARY/trip ${folder##*/}"; done
  "$twinlens" index >/dev/null
  timed "twinlens sync, first" "$1" "$twinlens" sync --json
  of adopted uploaded downloaded moved copied bytes_up bytes_down requests
  timed "twinlens sync, nothing changed" "$1" "$twinlens" sync --json
  timed "twinlens sync, once more" "$1" "$twinlens" sync --json
  of requests seconds

  # `small` may have started it already.
  [ -e "$work/apache/conf" ] || apache
  echo "apache"
  client many-apache "$(awk '/^Listen/ { print "http://" $2 "/" }' "$work/apache/conf")"
  "$twinlens" service sync peer --folder /many >/dev/null
  cp -r "$work/many/." "$TWINLENS_LIBRARY/"
  timed "twinlens sync, first upload" "$1" "$twinlens" sync --json
  of uploaded requests
  timed "twinlens sync, nothing changed" "$1" "$twinlens" sync --json
  timed "twinlens sync, once more" "$1" "$twinlens" sync --json
  of requests seconds
}

both() { # files, bytes, folders
  make "$1" "$2" "$3" "$work/photos"
  echo "$1 files of $2 bytes in $3 folders"
  serve node
  small node "$url" "$1"
  apache
  small apache "$url" "$1"
}

case ${1:-} in
  --large) large "${2:-10}" "${3:-200}" ;;
  --many) many "${2:-100000}" ;;
  --smoke)
    both 200 2048 4
    many 300
    large 2 12
    ;;
  *) both "${1:-10000}" "${2:-20480}" "${3:-100}" ;;
esac
