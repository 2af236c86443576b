. /bench/lib.sh
for pass in $passes; do milliseconds root "node x5, $pass" times 5 node -e 0; done
