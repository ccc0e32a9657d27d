# What serve.sh and idle.sh share; sourced. Everything lies in $work and is gone at the end, and so are the servers.
export PATH=$PATH:/usr/sbin LC_ALL=C
here=$PWD/benches/serve
twinlens=${TWINLENS_BIN:-${CARGO_TARGET_DIR:-$PWD/target}/release/twinlens}
user=admin password=benchmark-password
authorization="Basic $(printf %s "$user:$password" | base64)"
work=$(mktemp -d "${TMPDIR:-/tmp}/twinlens-serve.XXXXXX")
declare -A pid=() url=()

clean() {
  local name
  for name in "${!pid[@]}"; do
    kill -TERM "${pid[$name]}" 2>/dev/null || true
  done
  wait
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  echo "$*" >&2
  exit 1
}

tool() {
  python3 "$here/tool.py" "$@"
}

curl() {
  command curl --silent --show-error --noproxy '*' --user "$user:$password" "$@"
}

# Waits until a server answers, and shows its log when it does not.
await() { # name
  local tries
  for tries in $(seq 200); do
    kill -0 "${pid[$1]}" 2>/dev/null || break
    if curl --output /dev/null -X OPTIONS "${url[$1]}" 2>/dev/null; then return; fi
    sleep 0.05
  done
  cat "$work/$1.log" >&2
  fail "$1 does not answer at ${url[$1]} ($tries tries)"
}

# The node, on a library whose index is complete: what a library looks like that is not served for the first time.
start_twinlens() { # library
  [ -x "$twinlens" ] || fail "there is no $twinlens: cargo build --release, or name another with TWINLENS_BIN"
  export TWINLENS_ADMIN_PASSWORD=$password TWINLENS_DATA=$work/data TWINLENS_LIBRARY=$1
  "$twinlens" index >"$work/twinlens.log" 2>&1 || { cat "$work/twinlens.log"; fail "the library cannot be indexed"; }
  "$twinlens" serve --json --listen 127.0.0.1:0 >"$work/started" 2>>"$work/twinlens.log" &
  pid[twinlens]=$!
  while [ ! -s "$work/started" ]; do
    kill -0 "${pid[twinlens]}" 2>/dev/null || { cat "$work/twinlens.log"; fail "the node did not start"; }
    sleep 0.05
  done
  url[twinlens]=$(sed 's/.*"url":"\([^"]*\)".*/\1/' "$work/started")/originals/
  await twinlens
}

# A server's processes: its own and all below.
processes() { # pid
  echo "$1"
  local child
  for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do processes "$child"; done
}

# Peak resident memory in KB: of all processes together, what they map from files (the program, its libraries) counted once.
peak() { # name
  local process
  for process in $(processes "${pid[$1]}"); do
    awk '/^VmHWM/ { peak = $2 } /^Rss(File|Shmem)/ { shared += $2 } END { print peak + 0, shared + 0 }' "/proc/$process/status" || true
  done | awk '{ sum += $1 - $2; if ($2 > most) most = $2 } END { print sum + most }'
}

# Processor time of a server so far, in seconds.
spent() { # name
  local process
  for process in $(processes "${pid[$1]}"); do
    sed 's/.*) //' "/proc/$process/stat" 2>/dev/null || true
  done | awk -v hz="$(getconf CLK_TCK)" '{ sum += $12 + $13 + $14 + $15 } END { print sum / hz }'
}

# Runs wrk and prints requests and seconds; an answer that is an error ends the run.
load() { # connections, seconds, url, method, file
  local line requests duration failed
  line=$(wrk -t 2 -c "$1" -d "${2}s" --timeout 30s -s "$here/load.lua" "$3" -- "$4" "$5" "$authorization" 2>&1) || fail "$line"
  read -r _ requests duration failed <<<"$(grep '^result ' <<<"$line")"
  if [ "${failed:-1}" != 0 ] || [ "$requests" = 0 ]; then fail "$4 at $3: $requests answers, $failed failures: $line"; fi
  awk -v requests="$requests" -v duration="$duration" 'BEGIN { print requests, duration / 1e6 }'
}
