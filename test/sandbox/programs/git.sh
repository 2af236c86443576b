set -e; cd "$(mktemp -d)"
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=c GIT_COMMITTER_EMAIL=c@d GIT_AUTHOR_DATE='1000000000 +0000' GIT_COMMITTER_DATE='1000000000 +0000'
git init -q -b main repo; cd repo
for d in $(seq 40); do mkdir d$d; for f in $(seq 50); do echo "$d $f" > d$d/f$f; done; done
git add .; git commit -qm first; git rev-parse HEAD; git status --short; git ls-files | wc -l
echo changed >> d1/f1; rm d2/f2; mv d3 e3; touch new; git status --short | md5sum; git diff --stat | tail -1; git add -A; git commit -qm second; git rev-parse HEAD; git show --stat --format=%s | tail -1
git checkout -qb side HEAD~1; echo side > d4/f4; git commit -qam side; git merge -q --no-edit main; git rev-parse HEAD^{tree}; git log --oneline --graph | wc -l
git gc -q; git fsck --full 2>&1; git clone -q . ../clone; git -C ../clone log -1 --format=%H; git stash list; git worktree add -q ../tree main; git -C ../tree rev-parse HEAD; git -C ../tree status --short
git grep -c changed -- d1; git archive HEAD | tar -t | wc -l; git bundle create -q ../b side; git bundle verify -q ../b 2>&1; git rebase -q main side 2>&1 || true; git status --short; git -C / status 2>&1 || echo "outside $?"
echo done
