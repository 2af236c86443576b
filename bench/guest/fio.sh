. /bench/lib.sh

# fio NAME FIELD ARGUMENTS...: the field of the terse output has the operations per second (HOWTO, "Terse output").
run() {
  local name=$1 field=$2
  shift 2
  fio --name=bench --thread --ioengine=psync --bs=4k --size=64m --time_based --runtime=2 --output-format=terse --terse-version=3 "$@" >/tmp/fio
  report root "$name" op/s "$(cut -d';' -f"$field" /tmp/fio)"
}

# fio has the file dropped from the cache first, which a file system in memory takes for a hint.
run "fio randread 4k, cold" 8 --rw=randread --filename=/bench/data
cat /bench/data >/dev/null
run "fio randread 4k, cached" 8 --rw=randread --filename=/bench/data --invalidate=0
run "fio randwrite 4k" 49 --rw=randwrite --filename=/root/data
rm /root/data
