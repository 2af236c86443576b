#!/bin/sh
# pack.sh DIRECTORY: what a node needs of a built checkout, or of an installed package, 160 MB of which are Node. No npm is needed there.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
target=$1
mkdir -p "$target/node_modules/node/bin"
cp -R "$source/bin" "$source/dist" "$source/package.json" "$source/README.md" "$target/"
cp "$source/node_modules/node/bin/node" "$target/node_modules/node/bin/"
