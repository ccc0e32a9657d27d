#!/usr/bin/env bash
# First and second sync of many small files from one node to another, beside `rclone copy` to the same node, in one run.
# Usage: benches/peers.sh [FILES [BYTES [TRANSFERS]]]     default: 5000 files of 20480 bytes, 8 transfers
# Needs a release build (cargo build --release), rclone and GNU time.
set -euo pipefail
cd "$(dirname "$0")/.."
files=${1:-5000} bytes=${2:-20480} transfers=${3:-8}
twinlens=${CARGO_TARGET_DIR:-$PWD/target}/release/twinlens
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
export TWINLENS_ADMIN_PASSWORD=benchmark-password

mkdir -p "$work/a/library" "$work/b/library" "$work/pieces"
head -c $((files * bytes)) /dev/urandom | (cd "$work/pieces" && split -b "$bytes" -a 6 -d --additional-suffix=.jpg - IMG_)
count=0
for piece in "$work"/pieces/*; do
  folder=$work/a/library/$((2000 + count / 50))
  [ -d "$folder" ] || mkdir "$folder"
  mv "$piece" "$folder/"
  count=$((count + 1))
done

"$twinlens" serve --json --library "$work/b/library" --data "$work/b/data" --listen 127.0.0.1:0 >"$work/started" &
server=$!
while [ ! -s "$work/started" ]; do
  kill -0 "$server" || { echo "the node did not start; is there a release build?" >&2; exit 1; }
  sleep 0.05
done
url=$(sed 's/.*"url":"\([^"]*\)".*/\1/' "$work/started")/originals/
export TWINLENS_DATA=$work/a/data TWINLENS_LIBRARY=$work/a/library
echo "$TWINLENS_ADMIN_PASSWORD" | "$twinlens" service add peer "$url" --user admin --password-stdin >/dev/null
"$twinlens" service sync peer --upload yes >/dev/null

timed() { # name, command...
  local name=$1
  shift
  /usr/bin/time -f "$name: %e s, %M KB peak" "$@" 2>"$work/time" >"$work/out" || { cat "$work/time" "$work/out"; exit 1; }
  tail -n 1 "$work/time"
}
echo "$files files of $bytes bytes, $transfers transfers"
timed "twinlens first sync (hash, send, prove)" "$twinlens" sync
grep -q " $files uploaded" "$work/out"
timed "twinlens second sync                   " "$twinlens" sync
grep -q " 0 uploaded" "$work/out"
awk '/VmHWM/ { print "the serving node: " $2 " KB peak" }' "/proc/$server/status"

RCLONE_CONFIG=$work/rclone.conf
RCLONE_CONFIG_NODE_TYPE=webdav RCLONE_CONFIG_NODE_VENDOR=other RCLONE_CONFIG_NODE_URL=$url RCLONE_CONFIG_NODE_USER=admin
RCLONE_CONFIG_NODE_PASS=$(rclone obscure "$TWINLENS_ADMIN_PASSWORD")
export RCLONE_CONFIG RCLONE_CONFIG_NODE_TYPE RCLONE_CONFIG_NODE_VENDOR RCLONE_CONFIG_NODE_URL RCLONE_CONFIG_NODE_USER RCLONE_CONFIG_NODE_PASS
timed "rclone copy, first                     " rclone copy --transfers "$transfers" "$TWINLENS_LIBRARY" node:by-rclone --exclude '/.twinlens/**'
timed "rclone copy, second                    " rclone copy --transfers "$transfers" "$TWINLENS_LIBRARY" node:by-rclone --exclude '/.twinlens/**'
kill -TERM "$server"
wait "$server"
server=
