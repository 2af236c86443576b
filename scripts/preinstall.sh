#!/bin/sh
# The Node that the package brings is linked to libatomic, which a minimal Debian lacks (any with a compiler has it).
ldconfig -p 2>/dev/null | grep -q 'libatomic\.so\.1' && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "tssandbox: installing Debian's libatomic1, which Node 26 needs"
  apt-get install -qq -y --no-install-recommends libatomic1 || { apt-get update -qq && apt-get install -qq -y --no-install-recommends libatomic1; }
else
  echo "tssandbox: Node 26 needs libatomic.so.1; install it first (Debian: apt-get install libatomic1)" >&2
  exit 1
fi
