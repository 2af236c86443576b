. /bench/lib.sh
for pass in $passes; do
  mkdir /root/sqlite
  milliseconds root "sqlite 20k inserts, $pass" sqlite3 -init /bench/inserts.sql /root/sqlite/a .quit
  milliseconds root "sqlite 5000 commits, $pass" sqlite3 -init /bench/commits.sql /root/sqlite/b .quit
  rm -rf /root/sqlite
done
