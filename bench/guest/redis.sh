. /bench/lib.sh
redis-server --port 7001 --save "" --appendonly no >/dev/null 2>&1 &
until redis-cli -p 7001 ping >/dev/null 2>&1; do sleep 0.05; done
for depth in 1 16; do
  redis-benchmark -p 7001 -t set -n $((50000 * depth)) -P "$depth" --csv >/tmp/redis.csv
  report root "redis SET, pipeline $depth" req/s "$(awk -F'"' '$2 == "SET" { print $4 }' /tmp/redis.csv)"
done
redis-cli -p 7001 shutdown nosave
wait
