set -e; cd "$(mktemp -d)"
mkdir -p tree/{a,b,c}/{1,2,3}; for d in tree/*/*; do for i in 1 2 3 4 5; do seq $((i * 500)) > $d/$i; done; done
ln -s a/1 tree/link; ln tree/a/1/1 tree/hard; mkfifo tree/fifo; truncate -s 3M tree/sparse; echo end >> tree/sparse; chown -R 5:6 tree/b; chmod 4711 tree/c/1/1; chmod 700 tree/c
find tree -exec touch -hd '2020-01-01 UTC' {} +
tar --sort=name --format=posix --pax-option=delete=atime,delete=ctime -cf plain.tar tree; md5sum plain.tar; tar -Scf sparse.tar tree/sparse; test "$(stat -c %s sparse.tar)" -lt 100000
tar -czf t.tgz tree; tar -cJf t.txz tree 2>/dev/null || true; mkdir x; tar -xzf t.tgz -C x --same-owner -p; diff -r --no-dereference -x fifo tree x/tree; (cd x; find tree -printf '%p %M %U:%G %s %T@ %l %n\n' | sort | grep -v '^tree[^ ]* d' | md5sum)
tar -tvf plain.tar --utc --full-time | md5sum; tar -rf plain.tar t.tgz; tar -tf plain.tar | tail -1; tar --delete -f plain.tar t.tgz; md5sum plain.tar; tar -df plain.tar
tar -cf - /usr/share/perl5 /usr/lib/python3 2>/dev/null | tar -xf - -C x; diff -r /usr/lib/python3 x/usr/lib/python3; (cd x/usr; find . -type f -printf '%p %M %U %T@\n' | sort | md5sum); tar --warning=no-file-changed -xf nowhere.tar 2>&1 || echo "failed $?"
echo done
