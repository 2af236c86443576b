# Arguments: group and directory, which has the directory `tree`, in pairs.
. /bench/lib.sh
while (($# > 0)); do
  for pass in $passes; do
    mkdir "$2/tar"
    milliseconds "$1" "tar c, $pass" tar -cf "$2/tar/tree.tar" -C "$2" tree
    milliseconds "$1" "tar x, $pass" tar -xf "$2/tar/tree.tar" -C "$2/tar"
    rm -rf "$2/tar"
  done
  shift 2
done
