. /bench/lib.sh
nginx -c /bench/nginx.conf &
until wrk -t1 -c1 -d1 http://127.0.0.1:7002/ >/dev/null 2>&1; do sleep 0.05; done

serve() {
  local name=$1
  shift
  wrk -t1 -c16 -d2 "$@" http://127.0.0.1:7002/ >/tmp/wrk
  ! grep -q 'Non-2xx' /tmp/wrk
  report root "$name" req/s "$(awk '$1 == "Requests/sec:" { print $2 }' /tmp/wrk)"
}

serve "nginx, keep-alive"
serve "nginx, a connection each" -H "Connection: close"
kill %1
wait
