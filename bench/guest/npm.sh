. /bench/lib.sh
cd /bench/npm
for pass in $passes; do
  milliseconds root "npm install, 40 packages, $pass" npm install --offline --no-audit --no-fund --loglevel=error
  rm -rf node_modules package-lock.json
done
