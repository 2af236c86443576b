set -e; cd "$(mktemp -d)"
mkdir -p a/b; seq 100 | split -l 10 - a/part-; echo x > a/b/x; ln a/b/x hard; ln -s a soft; ln -s nowhere dangling; mkfifo pipe; mknod fifo p
touch -d '2001-02-03 04:05:06.789 UTC' a/b/x; chown 12:34 hard; chmod 6755 hard; chmod g+s a; stat -c '%n %F %a %u:%g %s %h' hard a soft dangling pipe fifo; stat -c %y hard
ls -lARn --time-style=+ a | sed 's/^total .*//'
cp -a a copy; diff -r a copy; stat -c '%a %u:%g %Y' copy/b/x; mv copy moved; cp --sparse=always --reflink=auto a/b/x sparse
(echo through > pipe &); cat pipe; cat /dev/zero | head -c 100000 | tee zeros | sha256sum; truncate -s 1M zeros; dd if=zeros of=copied bs=4k count=10 skip=3 conv=fsync status=none; wc -c zeros copied
du -a --apparent-size a | sort -k2; find . -newermt 2002-01-01 -type f | wc -l; find -L . -samefile hard | sort
readlink -f soft/b/x | sed 's/.*tmp\.[^/]*//'; realpath --relative-to=a moved; readlink dangling; mkdir d; rmdir d
install -D -m 640 -o 1 -g 2 hard deep/er/installed; stat -c '%a %u:%g' deep/er/installed; shred -n1 -u copied; test ! -e copied
seq 20000 | sort -R | sort -n --parallel=2 -S 100k -T . | md5sum; seq 5 | tac | paste -sd+ | tr + '*'; comm -12 <(seq 3) <(seq 2 4); od -c hard | head -1; printf 'b a\n' | awk '{print $2}' | base64
timeout 0.1 sleep 9 || echo "timeout $?"; nice -n 5 nice; nohup true 2>&1; env -i A=1 env; stdbuf -oL echo buffered; id; whoami; groups; uname -som; hostname; nproc > /dev/null; tty || true
sync -f a; sync; umask 077; touch masked; stat -c %a masked; (ulimit -f 900; dd if=/dev/zero of=limited bs=1M count=1 2>/dev/null || echo "limit $?"); chmod 000 masked; cat masked; pwd -P | grep -c tmp
(cd a && rm -r ../a && ls; pwd | grep -c a$; mkdir x || true) 2>&1; rm -rf moved; ls
for i in $(seq 300); do echo $i > f$i; done; ls f* | wc -l; rm f*; ls | wc -l; xargs -n1 -P4 sh -c 'exit 0' < <(seq 50)
echo done
