#!/bin/sh
# node.sh install|remove: what the DaemonSet runs, on each node, with the node's root at $HOST.
#
# Each version has a directory of its own, and links lead into it: sandboxes that run keep the version that they were started with. Versions that no
# process uses any more are removed.
set -eu
HOST=${HOST:-/host}
# A process in the node's own namespaces.
NODE_PID=${NODE_PID:-1}
ENGINE=${ENGINE:-containerd}
PACKAGE=${PACKAGE:-/opt/tssandbox}
RESTART=${RESTART---restart}
home=/opt/tssandbox

on_node() { nsenter --target "$NODE_PID" --mount --uts --ipc --net --pid -- "$@"; }

# The directory's name is of all that is in it, so that a package that was built anew is another version.
version=$(sed -n 's/.*"version": "\(.*\)".*/\1/p' "$PACKAGE/package.json")-$(cat "$PACKAGE/dist/main.cjs" "$PACKAGE/dist/shim/main.cjs" | sha256sum | cut -c1-12)

copy() {
  [ ! -e "$HOST$home/$version" ] || return 0
  mkdir -p "$HOST$home"
  rm -rf "$HOST$home/$version.new"
  cp -R "$PACKAGE" "$HOST$home/$version.new"
  mv "$HOST$home/$version.new" "$HOST$home/$version"
}

# What the program needs of a node beside its kernel.
check() {
  missing=$(on_node ldd "$home/$version/node_modules/node/bin/node" | sed -n 's/^\s*\(\S*\) => not found$/\1/p')
  [ -z "$missing" ] || { echo "the node has no $missing: install it there (Debian: libatomic1, libstdc++6)" >&2; exit 1; }
}

remove_unused() {
  for old in "$HOST$home"/*; do
    [ -d "$old" ] && [ "$old" != "$HOST$home/${1:-}" ] || continue
    # No letter of this pattern stands for itself in this script's own command line.
    used=$(on_node sh -c 'cat /proc/[0-9]*/cmdline 2>/dev/null | tr "\0" "\n" | grep -c "^$1/" || :' sh "$home/${old##*/}")
    [ "$used" != 0 ] || rm -rf "$old"
  done
  rmdir "$HOST$home" 2>/dev/null || :
}

case ${1:-} in
  install)
    copy
    check
    on_node "$home/$version/bin/tssandbox" install "--$ENGINE" $RESTART
    remove_unused "$version"
    ;;
  remove)
    copy
    on_node "$home/$version/bin/tssandbox" uninstall "--$ENGINE" $RESTART
    remove_unused
    ;;
  *)
    echo "usage: node.sh install|remove" >&2
    exit 2
    ;;
esac
: >/tmp/done
[ -n "${ONCE:-}" ] || exec sleep infinity
