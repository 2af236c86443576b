. /bench/lib.sh
cd /bench/compile
for pass in $passes; do
  milliseconds root "make -j2, $pass" make -s -j2
  make -s clean
done
