set -e; cd "$(mktemp -d)"
node --version; mkdir -p local/bin app; echo '{"name":"local","version":"1.2.3","bin":{"say":"bin/say.js"}}' > local/package.json
printf '#!/usr/bin/env node\nconsole.log("says it")\n' > local/bin/say.js; chmod +x local/bin/say.js; cp -r local packed; sed -i "s:\"local:\"packed:" packed/package.json
cd app; npm init -y > /dev/null; npm install --offline --no-audit --no-fund --no-update-notifier ../local; (cd ../packed; npm pack --silent); npm install --offline --no-audit --no-fund --no-update-notifier ../packed/packed-1.2.3.tgz
ls -l node_modules | awk 'NR > 1 {print $1, $9, $10, $11}'; ls -A node_modules/.bin; npm exec --offline say; npm ls --offline | tail -n +2; npm pkg set scripts.hello="echo in \$npm_lifecycle_event; say"; npm run --silent hello; npm run missing 2>&1 | grep -i "missing script"
cat > all.js <<'J'
const fs = require("fs"), os = require("os"), net = require("net"), { Worker } = require("worker_threads"), { execFileSync, spawn } = require("child_process"), crypto = require("crypto"), zlib = require("zlib");
(async () => {
  await fs.promises.writeFile("f", "one"); console.log(await fs.promises.readFile("f", "utf8"), (await fs.promises.stat("f")).size);
  console.log(os.type(), os.arch(), Object.keys(os.networkInterfaces()).join(), os.userInfo().username, os.availableParallelism() > 0, os.totalmem() > 0);
  console.log(execFileSync("echo", ["child"], { encoding: "utf8" }).trim(), await new Promise((ok) => spawn("sh", ["-c", "kill -9 $$"]).on("exit", (code, signal) => ok(`${code} ${signal}`))));
  console.log(await new Promise((ok) => new Worker("require('worker_threads').parentPort.postMessage(6 * 7)", { eval: true }).on("message", ok)));
  const server = require("http").createServer((_, response) => response.end("served")).listen(0); console.log(await (await fetch(`http://127.0.0.1:${server.address().port}`)).text()); server.close(); server.closeAllConnections();
  const socket = net.createServer((c) => c.end("unix")).listen("s"); await new Promise((ok) => socket.on("listening", ok)); console.log(await new Promise((ok) => net.connect("s").on("data", (data) => ok(`${data}`)))); socket.close();
  const seen = new Promise((ok) => { const w = fs.watch(".", (_, name) => { w.close(); ok(name); }); }); fs.writeFileSync("watched", ""); console.log(await seen);
  console.log(zlib.gunzipSync(zlib.gzipSync("zipped")).toString(), crypto.createHash("sha1").update("x").digest("hex").slice(0, 8)); console.log(await new Promise((ok) => { process.on("SIGUSR2", ok); process.kill(process.pid, "SIGUSR2"); }));
})();
J
node all.js; node -e 'process.exit(4)' || echo "code $?"; node --test --test-reporter=tap - <<< '' > /dev/null 2>&1 || true
echo done
