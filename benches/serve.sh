#!/usr/bin/env bash
# The node's server beside nginx, Apache and rclone serve in one run, and beside what the machine itself can do.
# Usage: benches/serve.sh [--smoke] [ROUNDS [SECONDS]]     default: 3 rounds, 5 seconds for each measurement
# Needs a release build (cargo build --release), rustc, and Debian's nginx, libnginx-mod-http-dav-ext, apache2, apache2-utils, rclone, wrk,
# curl and python3. A peer that is missing is named and left out; with TWINLENS_REQUIRE_PEERS=1 that is an error.
# --smoke only shows that all this works.
#
# All serve the same files (hard links) from trees of their own, on the loopback, with Basic authentication and without access logs.
# The peers' passwords are kept as {SHA}, which costs them next to nothing; the node remembers a verified login. Rounds are interleaved,
# and in each another server comes first. No peer calls fsync for an upload; the node does. The files go to TMPDIR, which should be on a
# real disk with some 10 GB free. Other work on the machine shows: compare within a run only, and wait some minutes after a run, whose many
# deleted files slow down uploads on ext4 for a while.
set -euo pipefail
cd "$(dirname "$0")/.."
many=10000 folders=1000 photos=200 large=1024 rounds=3 seconds=5
if [ "${1:-}" = --smoke ]; then
  shift
  many=200 folders=20 photos=10 large=8 rounds=1 seconds=1
fi
rounds=${1:-$rounds} seconds=${2:-$seconds}
. benches/serve/common.sh
for program in wrk curl python3; do
  command -v "$program" >/dev/null || fail "$program is needed"
done

chmod 755 "$work"
tool tree "$work/tree" "$many" "$folders" "$photos" "$large"
photo=$work/tree/photos/IMG_00000.jpg large_file=$work/tree/large.bin

# A tree for one server: the same files, folders of its own.
own_tree() { # name
  cp -al "$work/tree" "$work/$1"
  mkdir "$work/$1/inbox" "$work/$1/.scratch"
  # Started by root, nginx and Apache serve as somebody else.
  [ "$(id -u)" != 0 ] || chown www-data: "$work/$1/inbox" "$work/$1/.scratch"
}

servers=(twinlens)
peer() { # name, condition: whether it is here
  if "${@:2}"; then
    servers+=("$1")
    own_tree "$1"
    url[$1]=http://127.0.0.1:$(tool port)/
    "start_$1"
    await "$1"
  elif [ "${TWINLENS_REQUIRE_PEERS:-}" = 1 ]; then
    fail "$1 is not installed"
  else
    echo "$1 is not installed: left out" >&2
  fi
}

dav_ext=/usr/lib/nginx/modules/ngx_http_dav_ext_module.so
has_nginx() { command -v nginx >/dev/null && command -v htpasswd >/dev/null && [ -e "$dav_ext" ]; }
start_nginx() {
  cat >"$work/nginx.conf" <<CONF
load_module $dav_ext;
daemon off;
pid $work/nginx.pid;
error_log $work/nginx.log warn;
worker_processes auto;
$([ "$(id -u)" != 0 ] || echo "user www-data;")
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  client_max_body_size 0;
  client_body_temp_path $work/nginx/.scratch;
  proxy_temp_path $work/nginx/.scratch/proxy;
  fastcgi_temp_path $work/nginx/.scratch/fastcgi;
  uwsgi_temp_path $work/nginx/.scratch/uwsgi;
  scgi_temp_path $work/nginx/.scratch/scgi;
  server {
    listen ${url[nginx]:7:-1};
    root $work/nginx;
    auth_basic bench;
    auth_basic_user_file $work/htpasswd;
    dav_methods PUT DELETE MKCOL COPY MOVE;
    dav_ext_methods PROPFIND OPTIONS;
  }
}
CONF
  nginx -e "$work/nginx.log" -c "$work/nginx.conf" >>"$work/nginx.log" 2>&1 &
  pid[nginx]=$!
}

has_apache() { command -v apache2 >/dev/null && command -v htpasswd >/dev/null && [ -e /usr/lib/apache2/modules/mod_dav_fs.so ]; }
start_apache() {
  local module
  {
    for module in mpm_event authn_core authn_file authz_core authz_user auth_basic mime dir dav dav_fs; do
      echo "LoadModule ${module}_module /usr/lib/apache2/modules/mod_$module.so"
    done
    cat <<CONF
ServerName 127.0.0.1
Listen ${url[apache]:7:-1}
PidFile $work/apache.pid
ErrorLog $work/apache.log
DefaultRuntimeDir $work
TypesConfig /etc/mime.types
$([ "$(id -u)" != 0 ] || echo "User www-data
Group www-data")
MaxKeepAliveRequests 0
EnableSendfile On
DavLockDB $work/apache/.scratch/locks
DocumentRoot $work/apache
<Directory $work/apache>
  Dav On
  AllowOverride None
  AuthType Basic
  AuthName bench
  AuthUserFile $work/htpasswd
  Require valid-user
</Directory>
CONF
  } >"$work/apache.conf"
  apache2 -D FOREGROUND -f "$work/apache.conf" >>"$work/apache.log" 2>&1 &
  pid[apache]=$!
}

has_rclone() { command -v rclone >/dev/null; }
start_rclone() {
  RCLONE_CONFIG=/dev/null rclone serve webdav "$work/rclone" --addr "${url[rclone]:7:-1}" --user "$user" --pass "$password" \
    --log-level ERROR --cache-dir "$work/rclone.cache" >"$work/rclone.log" 2>&1 &
  pid[rclone]=$!
}

# Answers are right before they are counted.
expect() { # server, what, expected, found
  [ "$3" = "$4" ] || fail "$1: $2: expected $3, found $4"
}
check() { # server
  local base=${url[$1]} code folder members
  local propfind=(-X PROPFIND -H 'Depth: 1' -H 'Content-Type: application/xml; charset=utf-8')
  propfind+=(--data '<propfind xmlns="DAV:"><prop><resourcetype/><getcontentlength/><getetag/><getlastmodified/></prop></propfind>')
  code=$(command curl --silent --noproxy '*' -o /dev/null -w '%{http_code}' "${base}photos/IMG_00000.jpg")
  expect "$1" "GET without a password" 401 "$code"
  for folder in "many/ $many" "folders/0000/ 10" "folders/$(printf %04d $((folders - 1)))/ 10"; do
    members=${folder#* } folder=${folder% *}
    code=$(curl "${propfind[@]}" -o "$work/answer" -w '%{http_code}' "$base$folder")
    expect "$1" "PROPFIND of $folder" 207 "$code"
    expect "$1" "resources in $folder" $((members + 1)) "$(grep -oE '<([A-Za-z]+:)?response[ >]' "$work/answer" | wc -l)"
    expect "$1" "lengths in $folder" "$members" "$(grep -oE 'getcontentlength[^<>]*>20<' "$work/answer" | wc -l)"
  done
  expect "$1" "GET of a photo" 200 "$(curl -o "$work/answer" -w '%{http_code}' "${base}photos/IMG_00000.jpg")"
  cmp "$work/answer" "$photo" || fail "$1: a photo came back different"
  expect "$1" "PUT of a photo" 201 "$(curl -T "$photo" -o /dev/null -w '%{http_code}' "${base}inbox/check.jpg")"
  cmp "$work/$1/inbox/check.jpg" "$photo" || fail "$1: a photo was stored different"
  rm "$work/$1/inbox/check.jpg"
}

# server, what, rate, and processor seconds of the server for one (or one MB)
record() { # server, what, count, seconds, processor seconds
  awk -v server="$1" -v what="$2" -v count="$3" -v seconds="$4" -v cpu="$5" \
    'BEGIN { printf "%s %s %.6g %.6g\n", what, server, count / seconds, cpu / count * 1e6 }' | tee -a "$work/results" >&2
}

requests_of() { # server, what, connections, method, path, file
  local before after result
  before=$(spent "$1")
  result=$(load "$3" "$seconds" "${url[$1]}$5" "$4" "$6")
  after=$(spent "$1")
  read -r requests duration <<<"$result"
  record "$1" "$2" "$requests" "$duration" "$(awk "BEGIN { print $after - $before }")"
}

get_large() { # server
  local before after result
  before=$(spent "$1")
  result=$(curl -o /dev/null -w '%{http_code} %{size_download} %{time_total}' "${url[$1]}large.bin")
  after=$(spent "$1")
  read -r code size duration <<<"$result"
  expect "$1" "GET of the large file" "200 $((large << 20))" "$code $size"
  record "$1" get-large "$large" "$duration" "$(awk "BEGIN { print $after - $before }")"
}

# Gives back the space of a folder's files. They stay until the end: ext4 passes over inodes that were freed lately, and the search
# for others would slow down every upload that follows.
empty() { # folder
  find "$1" -type f -exec truncate -s 0 {} +
}

put_small() { # server
  local folder=inbox/small-$round/ stored
  expect "$1" "MKCOL" 201 "$(curl -X MKCOL -o /dev/null -w '%{http_code}' "${url[$1]}$folder")"
  requests_of "$1" put-small 8 PUT "$folder" "$photo"
  # What wrk broke off at the end may be there too, whole or in pieces.
  stored=$(find "$work/$1/$folder" -type f -size "$(stat -c %s "$photo")c" | wc -l)
  [ "$stored" -ge "$requests" ] || fail "$1: of $requests files that were answered with success only $stored are there"
  empty "$work/$1/$folder"
}

put_large() { # server
  local before after result target=inbox/large-$round.bin
  before=$(spent "$1")
  result=$(curl -T "$large_file" -H 'Expect:' -o /dev/null -w '%{http_code} %{time_total}' "${url[$1]}$target")
  after=$(spent "$1")
  read -r code duration <<<"$result"
  expect "$1" "PUT of the large file" 201 "$code"
  cmp "$work/$1/$target" "$large_file" || fail "$1: the large file was stored different"
  record "$1" put-large "$large" "$duration" "$(awk "BEGIN { print $after - $before }")"
  rm "$work/$1/$target"
}

machine_of() { # what
  local rate begin
  case $1 in
    propfind-many)
      rate=$("$work/readdir" "$work/tree/many" "$seconds")
      record machine "$1" "$rate" 1 0
      ;;
    put-small)
      mkdir "$work/durable-$round"
      rate=$(tool durable "$work/durable-$round" "$seconds" 8)
      record machine "$1" "$rate" 1 0
      empty "$work/durable-$round"
      ;;
    put-large)
      begin=$EPOCHREALTIME
      cp --reflink=never --sparse=never "$large_file" "$work/copy"
      sync "$work/copy"
      record machine "$1" "$large" "$(awk "BEGIN { print $EPOCHREALTIME - $begin }")" 0
      rm "$work/copy"
      ;;
  esac
}

measure() { # what, server
  case $1 in
    propfind-many) requests_of "$2" "$1" 4 PROPFIND "" "$work/many.list" ;;
    propfind-few) requests_of "$2" "$1" 16 PROPFIND "" "$work/folders.list" ;;
    get-small) requests_of "$2" "$1" 16 GET "" "$work/photos.list" ;;
    get-large) get_large "$2" ;;
    put-small) put_small "$2" ;;
    put-large) put_large "$2" ;;
  esac
  # What one left to be written must not slow down the next.
  case $1 in put-*) sync ;; esac
}

rustc -O --edition 2024 -o "$work/readdir" "$here/readdir.rs"
own_tree twinlens
: >"$work/htpasswd"
! command -v htpasswd >/dev/null || htpasswd -bsc "$work/htpasswd" "$user" "$password" 2>/dev/null
chmod 644 "$work/htpasswd"
start_twinlens "$work/twinlens"
peer nginx has_nginx
peer apache has_apache
peer rclone has_rclone
for server in "${servers[@]}"; do check "$server"; done
sync
for round in $(seq "$rounds"); do
  for what in propfind-many propfind-few get-small get-large put-small put-large; do
    for turn in "${!servers[@]}"; do
      measure "$what" "${servers[(turn + round) % ${#servers[@]}]}"
    done
    machine_of "$what"
  done
done
for server in "${servers[@]}"; do
  echo "memory $server $(peak "$server") 0" >>"$work/results"
done

echo "$(nproc) cores, $(stat -f -c %T "$work"), Linux $(uname -r); medians of $rounds interleaved rounds of $seconds s"
echo
awk -v servers="${servers[*]}" -v many="$many" -v folders="$folders" -v large="$large" -f "$here/table.awk" "$work/results"
