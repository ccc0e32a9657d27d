# Sourced by the benches: a folder for their work that goes when they end, with the servers that they started. Needs $twinlens.

work=$(mktemp -d)
pids=()
finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT
export TWINLENS_ADMIN_PASSWORD=benchmark-password

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# serve NAME: a node, with an empty library if there is none; its address is in $url
serve() {
  mkdir -p "$work/$1/library"
  "$twinlens" serve --json --library "$work/$1/library" --data "$work/$1/data" --listen 127.0.0.1:0 >"$work/$1/started" 2>"$work/$1/log" &
  pids+=($!)
  while [ ! -s "$work/$1/started" ]; do
    kill -0 "${pids[-1]}" || { cat "$work/$1/log" >&2; exit 1; }
    sleep 0.05
  done
  url=$(sed 's/.*"url":"\([^"]*\)".*/\1/' "$work/$1/started")/originals/
}

# apache: mod_dav over an empty folder; its address is in $url
apache() {
  local port
  port=$(free_port)
  mkdir -p "$work/apache/photos"
  chmod 755 "$work"
  {
    echo "ServerName localhost"
    echo "ServerRoot $work/apache"
    echo "PidFile $work/apache/pid"
    echo "ErrorLog $work/apache/log"
    echo "Listen 127.0.0.1:$port"
    [ "$(id -u)" -ne 0 ] || echo "User www-data"
    for module in mpm_event authz_core dav dav_fs; do
      echo "LoadModule ${module}_module /usr/lib/apache2/modules/mod_$module.so"
    done
    echo "DocumentRoot $work/apache/photos"
    echo "DavLockDB $work/apache/locks"
    echo "MaxKeepAliveRequests 0"
    echo "KeepAliveTimeout 60"
    echo "<Directory $work/apache/photos>"
    echo "Dav On"
    echo "Require all granted"
    echo "</Directory>"
  } >"$work/apache/conf"
  [ "$(id -u)" -ne 0 ] || chown -R www-data "$work/apache"
  apache2 -f "$work/apache/conf" -DFOREGROUND &
  pids+=($!)
  url=http://127.0.0.1:$port/
  until curl -s -o /dev/null "$url"; do sleep 0.05; done
}
