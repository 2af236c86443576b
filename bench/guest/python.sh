. /bench/lib.sh
for pass in $passes; do milliseconds root "python3 x20, $pass" times 20 python3 -c pass; done
