set -e; cd "$(mktemp -d)"
redis-server --port 6379 --unixsocket "$PWD/s" --dir "$PWD" --appendonly yes --daemonize yes --pidfile "$PWD/pid" --logfile "$PWD/log" > /dev/null
until redis-cli ping 2> /dev/null | grep -q PONG; do sleep 0.05; done
redis-cli set a 1; redis-cli incr a; redis-cli -s s lpush l x y z; redis-cli lrange l 0 -1; redis-cli eval 'return redis.call("get", "a")' 0
redis-benchmark -q -n 20000 -c 20 -t ping,set,get,incr,lpush,mset --csv | cut -d, -f1; redis-benchmark -s s -q -n 5000 -P 16 -t set,get --csv | cut -d, -f1
redis-cli dbsize; redis-cli bgsave > /dev/null; until [ -e dump.rdb ]; do sleep 0.05; done; redis-cli bgrewriteaof > /dev/null; redis-cli config get maxclients | tail -1; redis-cli shutdown nosave; while [ -e pid ]; do sleep 0.05; done; ls | sort; grep -ci 'warning' log | sed 's/^/warnings /'
redis-server --port 6379 --dir "$PWD" --appendonly yes --daemonize yes --logfile "$PWD/log" > /dev/null; until redis-cli ping 2> /dev/null | grep -q PONG; do sleep 0.05; done; redis-cli get a; redis-cli shutdown
echo done
