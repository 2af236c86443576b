set -e; cd "$(mktemp -d)"; chmod 755 .
mkdir -p html; for i in $(seq 10); do seq $((i * 1000)) > html/$i; done; echo hello > html/index.html
cat > nginx.conf <<C
user www-data; worker_processes 2; pid $PWD/pid; error_log $PWD/error.log; events { worker_connections 200; }
http { access_log $PWD/access.log; sendfile on; server { listen 8080; listen unix:$PWD/s; root $PWD/html; location /moved { return 301 /1; } location /proxied/ { proxy_pass http://127.0.0.1:8080/; } } }
C
nginx -t -c "$PWD/nginx.conf" 2>&1 | sed "s#$PWD##"; nginx -c "$PWD/nginx.conf"
get() { python3 -c 'import sys, urllib.request, urllib.error, hashlib
try: r = urllib.request.urlopen("http://127.0.0.1:8080" + sys.argv[1]); print(sys.argv[1], r.status, hashlib.md5(r.read()).hexdigest())
except urllib.error.HTTPError as e: print(sys.argv[1], e.code)' "$1"; }
for path in / /1 /10 /moved /proxied/5 /missing; do get $path; done
wrk -t2 -c20 -d2s http://127.0.0.1:8080/5 > wrk.out; grep -c 'requests in' wrk.out; grep -E 'Non-2xx|Socket errors' wrk.out || echo 'no errors'; wrk -t1 -c5 -d1s http://127.0.0.1:8080/proxied/1 | grep -E 'Non-2xx|Socket errors' || echo 'no errors'
ps -o user:10,args -C nginx --no-headers | sed "s#$PWD##" | sort; nginx -q -s reload -c "$PWD/nginx.conf"; sleep 0.3; get /1; test "$(wc -l < access.log)" -gt 100 && echo logged; nginx -q -s quit -c "$PWD/nginx.conf"; while [ -e pid ]; do sleep 0.05; done; grep -vc notice error.log || true
echo done
