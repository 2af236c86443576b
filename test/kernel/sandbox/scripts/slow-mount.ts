/** Mounts a directory with the file `late`, of which the first reading takes MILLISECONDS: slow-mount.ts DIRECTORY MILLISECONDS. Ends with the mount. */
import { writeSync } from "node:fs";
import process from "node:process";
import { directory, file, SyntheticFileSystem } from "../../../../gofer/synthetic.ts";
import { serveGofer } from "../../../../gofer/serve.ts";
import { O_DIRECTORY, O_PATH, O_RDWR } from "../../../../linux/abi/fcntl.ts";
import { open } from "../../../../linux/file.ts";
import type { Block } from "../../../../linux/memory.unsafe.ts";
import { attachMount, createMount } from "../../../../linux/mount.ts";
import { sleepMs } from "../../../../linux/sleep.ts";

const [at = "", milliseconds = ""] = process.argv.slice(2);

class SlowFiles extends SyntheticFileSystem {
  #pause = Number(milliseconds);

  override read(node: number, handle: number, position: number, into: Block, start: number, size: number): number {
    sleepMs(this.#pause);
    this.#pause = 0;
    return super.read(node, handle, position, into, start, size);
  }
}

const device = open("/dev/fuse", O_RDWR);
const mount = createMount("fuse", [["source", "slow"], ["fd", String(device.number)], ["rootmode", "40000"], ["user_id", "0"], ["group_id", "0"], ["allow_other"]], 0);
const target = open(at, O_PATH | O_DIRECTORY);
attachMount(mount, target);
target.close();
mount.close();
writeSync(1, "mounted\n");
serveGofer([{ fuse: device, fileSystem: new SlowFiles(directory({ late: file(() => "late\n", 0o444) })) }]);
