#!/usr/bin/env bash
# What the proof of an upload costs: the same new files to a node, to Apache's mod_dav, and to SabreDAV under php-fpm behind nginx, sent by
# `twinlens sync` (hash, send, prove), with everything read back where that can be asked for, and by bare parallel curl, which proves nothing.
# Usage: benches/proof.sh [FILES [BYTES [FOLDERS]]]     default: 1000 files of 102400 bytes in 10 folders
#        benches/proof.sh --smoke                       small
# Requests of twinlens are those it counts itself; those of curl are its PUTs and MKCOLs. The difference is the price of the proof.
# Needs a build (TWINLENS=path, otherwise target/release/twinlens), apache2, nginx, php-fpm, php-sabre-dav, curl, python3 and GNU time.
set -euo pipefail
cd "$(dirname "$0")/.."
twinlens=${TWINLENS:-${CARGO_TARGET_DIR:-$PWD/target}/release/twinlens}
[ "${1:-}" = --smoke ] && set -- 40 10240 2
files=${1:-1000} bytes=${2:-102400} folders=${3:-10}
. benches/servers.sh
chmod 755 "$work"
root=$(id -u)

answers() { until curl -s -o /dev/null "http://127.0.0.1:$1/"; do kill -0 "$2" || exit 1; sleep 0.05; done; }

mkdir "$work/photos" "$work/pieces"
head -c $((files * bytes)) /dev/urandom | (cd "$work/pieces" && split -b "$bytes" -a 6 -d --additional-suffix=.jpg - IMG_)
count=0
for piece in "$work"/pieces/*; do
  folder=$work/photos/$((2000 + count % folders))
  mkdir -p "$folder"
  mv "$piece" "$folder/"
  count=$((count + 1))
done

node() { serve node; }

# php: SabreDAV under php-fpm behind nginx; its address is in $url
php() {
  local port fpm program kind
  port=$(free_port)
  fpm=$(free_port)
  program=$(ls /usr/sbin/php-fpm* | sort -V | tail -n 1)
  mkdir -p "$work/php/photos"
  {
    echo "[global]"
    echo "error_log = $work/php/fpm.log"
    echo "[www]"
    [ "$root" -ne 0 ] || printf 'user = root\ngroup = root\n'
    echo "listen = 127.0.0.1:$fpm"
    echo "pm = static"
    echo "pm.max_children = 8"
  } >"$work/php/fpm.conf"
  "$program" --nodaemonize --fpm-config "$work/php/fpm.conf" $([ "$root" -ne 0 ] || echo --allow-to-run-as-root) 2>/dev/null &
  pids+=($!)
  {
    echo "daemon off;"
    [ "$root" -ne 0 ] || echo "user root;"
    echo "pid $work/php/pid;"
    echo "error_log $work/php/log;"
    echo "events {}"
    echo "http {"
    echo "access_log off;"
    for kind in client_body proxy fastcgi uwsgi scgi; do echo "${kind}_temp_path $work/php/$kind;"; done
    echo "client_max_body_size 0;"
    echo "server {"
    echo "listen 127.0.0.1:$port;"
    echo "location / {"
    echo "include /etc/nginx/fastcgi_params;"
    echo "fastcgi_pass 127.0.0.1:$fpm;"
    echo "fastcgi_param HTTP_HOST \$http_host;"
    echo "fastcgi_param SCRIPT_FILENAME $PWD/fixtures/sabredav/index.php;"
    echo "fastcgi_param TEST_FILES $work/php/photos;"
    echo "} } }"
  } >"$work/php/nginx.conf"
  nginx -e "$work/php/log" -c "$work/php/nginx.conf" &
  pids+=($!)
  answers "$port" "${pids[-1]}"
  until curl -s -o /dev/null -f -X PROPFIND -H 'Depth: 0' "http://127.0.0.1:$port/"; do kill -0 "${pids[-1]}" || exit 1; sleep 0.05; done
  url=http://127.0.0.1:$port/
}

# tell NAME REQUESTS: the last measured command
tell() { awk -v name="$1" -v requests="$2" -v files="$files" '{ printf "  %-44s %6d requests (%.2f a file) %8.2f s\n", name, requests, requests / files, $1 }' "$work/time"; }

# synced NAME FOLDER OPTION...: a new library, synced to a folder of the service
synced() {
  local name=$1 folder=$2
  shift 2
  export TWINLENS_DATA=$work/client/data TWINLENS_LIBRARY=$work/client/library
  rm -rf "$work/client"
  mkdir -p "$TWINLENS_LIBRARY"
  cp -r "$work/photos/." "$TWINLENS_LIBRARY/"
  "$twinlens" index >/dev/null
  echo "$TWINLENS_ADMIN_PASSWORD" | "$twinlens" service add svc "$url" --user admin --password-stdin >/dev/null
  "$twinlens" service sync svc --upload yes --folder "/$folder" "$@" >/dev/null
  /usr/bin/time -f %e -o "$work/time" "$twinlens" sync --json >"$work/report" 2>"$work/err" || { cat "$work/err" "$work/report" >&2; exit 1; }
  python3 - "$work/report" "$files" <<'PYTHON'
import json, sys
report = json.load(open(sys.argv[1]))["services"][0]
assert report["uploaded"] == report["verified"] == int(sys.argv[2]), report
PYTHON
  tell "$name" "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["services"][0]["requests"])' "$work/report")"
}

bare() { # name: every file by curl
  local folder login=(--user "admin:$TWINLENS_ADMIN_PASSWORD")
  curl -sf "${login[@]}" -X MKCOL "${url}bare/" >/dev/null
  for folder in "$work"/photos/*; do curl -sf "${login[@]}" -X MKCOL "${url}bare/${folder##*/}/" >/dev/null; done
  (cd "$work/photos" && find . -type f -printf '%P\n') |
    awk -v url="${url}bare/" -v dir="$work/photos" '{ print "upload-file = \"" dir "/" $0 "\"\nurl = \"" url $0 "\"\noutput = /dev/null" }' >"$work/curl.conf"
  /usr/bin/time -f %e -o "$work/time" curl -sf "${login[@]}" --parallel --parallel-immediate --parallel-max 16 -K "$work/curl.conf" 2>"$work/err" || { tail -n 3 "$work/err" >&2; exit 1; }
  tell "$1" $((files + folders + 1))
}

echo "$files files of $bytes bytes in $folders folders"
for kind in node apache php; do
  echo "$kind"
  "$kind"
  synced "twinlens sync, proven" proven
  if "$twinlens" service sync --help | grep -q -- --verify; then
    synced "twinlens sync --verify full, all read back" full --verify full
  fi
  bare "curl --parallel-max 16, not proven"
done
