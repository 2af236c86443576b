# What the workloads share. Each is run by bash in the container, and prints a line "group TAB name TAB unit TAB value" per measurement.
# Everything is done twice: a container's first pass finds nothing cached by its own kernel or gofer.
set -eu
export HOME=/root LC_ALL=C
passes="first again"

# report GROUP NAME UNIT VALUE
report() { printf '%s\t%s\t%s\t%s\n' "$@"; }

# milliseconds GROUP NAME COMMAND...: runs it and reports how long it took.
milliseconds() {
  local group=$1 name=$2 start microseconds
  shift 2
  start=${EPOCHREALTIME/./}
  "$@" >/dev/null
  microseconds=$((${EPOCHREALTIME/./} - start))
  report "$group" "$name" ms $((microseconds / 1000)).$(printf %03d $((microseconds % 1000)))
}

# times N COMMAND...
times() {
  local left=$1
  shift
  while ((left-- > 0)); do "$@"; done
}
