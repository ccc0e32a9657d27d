#!/usr/bin/env bash
# What many idle connections cost the node: memory, and the speed of the others.
# Usage: benches/idle.sh [--smoke] [CONNECTIONS [SECONDS]]     default: 10000 connections, 5 seconds for each measurement
# Needs a release build (cargo build --release), wrk, curl and python3, and a limit of open files (ulimit -Hn) above CONNECTIONS.
# Fails when a connection is refused, or a request is answered with an error. Every second connection has been used once.
set -euo pipefail
cd "$(dirname "$0")/.."
connections=10000 seconds=5
if [ "${1:-}" = --smoke ]; then
  shift
  connections=500 seconds=1
fi
connections=${1:-$connections} seconds=${2:-$seconds}
limit=$(ulimit -Hn)
if [ "$limit" != unlimited ] && [ "$limit" -lt $((connections + 128)) ]; then
  echo "the limit of open files is $limit (ulimit -Hn): too low for $connections connections" >&2
  exit 1
fi
ulimit -Sn "$limit"
. benches/serve/common.sh

speeds() { # requests a second: listings, photos
  local listings photos
  listings=$(load 16 "$seconds" "${url[twinlens]}" PROPFIND "$work/folders.list")
  photos=$(load 16 "$seconds" "${url[twinlens]}" GET "$work/photos.list")
  awk '{ printf "%.0f ", $1 / $2 }' <<<"$listings"$'\n'"$photos"
}
resident() {
  awk '/VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/${pid[twinlens]}/status"
}

tool tree "$work/tree" 10 100 20 1
start_twinlens "$work/tree"
read -r listings photos <<<"$(speeds)"
echo "without idle connections: $(resident) MiB, $listings listings/s of 10 files, $photos GET/s of 100 KB"

address=${url[twinlens]#http://}
address=${address%%/*}
coproc HOLDER { tool idle "${address%:*}" "${address#*:}" /originals/photos/ "$user:$password" "$connections"; }
pid[holder]=$HOLDER_PID
begin=$EPOCHREALTIME
read -r held <&"${HOLDER[0]}" || fail "the $connections connections could not be opened"
[ "$held" = held ] || fail "$held"
opened=$(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $begin }")
echo "$connections opened in $opened s: $(resident) MiB"
read -r listings photos <<<"$(speeds)"
echo "with them: $(resident) MiB, $listings listings/s, $photos GET/s"
echo >&"${HOLDER[1]}"
read -r kept <&"${HOLDER[0]}"
wait "${pid[holder]}" || fail "the one who held the connections failed"
unset 'pid[holder]'
echo "$kept of $connections connections were still open after that"
sleep 1
echo "after they were closed: $(resident) MiB"
