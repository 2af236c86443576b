# Arguments: group and directory, in pairs.
. /bench/lib.sh
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@a

history() {
  git init -q
  git add .
  git commit -q -m all
  git status
  git log
}

while (($# > 0)); do
  for pass in $passes; do
    cp -r /bench/tree "$2/git"
    cd "$2/git"
    milliseconds "$1" "git, $pass" history
    test "$(git ls-files | wc -l)" = 2000
    cd /
    rm -rf "$2/git"
  done
  shift 2
done
