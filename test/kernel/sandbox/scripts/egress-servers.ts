/** `egress-servers.ts ADDRESS,... PORT,... NAME=ADDRESS,...`: TCP listeners on all of these, and a name server on the first address. Prints `ready`. */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import process from "node:process";

const [addresses = [], ports = [], names = []] = process.argv.slice(2).map((list) => list.split(","));
const known = new Map(names.map((entry) => entry.split("=") as [string, string]));
const TTL = 5;

/** RFC 1035: the answer repeats the question, and its name by a pointer to it. */
function answerTo(query: Buffer): Buffer {
  const labels: string[] = [];
  let end = 12;
  for (let length = query[end]!; length > 0; length = query[end]!) {
    labels.push(query.toString("latin1", end + 1, end + 1 + length));
    end += 1 + length;
  }
  const address = known.get(labels.join(".").toLowerCase());
  const head = Buffer.from(query.subarray(0, end + 5));
  head.writeUInt16BE(address === undefined ? 0x8183 : 0x8180, 2);
  head.writeUInt16BE(address === undefined ? 0 : 1, 6);
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, TTL, 0, 4, ...(address ?? "").split(".").map(Number)]);
  return address === undefined ? head : Buffer.concat([head, record]);
}

const names53 = createSocket("udp4");
names53.on("message", (query, from) => names53.send(answerTo(query), from.port, from.address));
await new Promise<void>((done) => names53.bind(53, addresses[0], done));
for (const address of addresses) for (const port of ports) await new Promise<void>((done) => void createServer((socket) => socket.end()).listen(Number(port), address, done));
process.stdout.write("ready\n");
