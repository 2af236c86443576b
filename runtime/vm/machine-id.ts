/** What programs take for the identity of the machine they run on: a clone has one of its own. Source: machine-id(5). */
import { O_DIRECTORY, O_NONBLOCK, O_PATH, O_RDWR, RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_XDEV, S_IFMT, S_IFREG } from "../../linux/abi/fcntl.ts";
import { Fd } from "../../linux/fd.ts";
import { open, read, rewind, statAt, tryOpenAt, writeAll } from "../../linux/file.ts";
import { randomBytes } from "../../linux/random.ts";

const PATH = "etc/machine-id";
const MACHINE_ID = /^[0-9a-f]{32}\n?$/;
const LIMIT = 64;

/**
 * Writes a new one over that in a container's root file system, where there is one; not where it is on another file system: that is a volume of the
 * host's. @param pid the container's init, which stands still. @throws SysError
 */
export function renewMachineId(pid: number): void {
  using root = open(`/proc/${pid}/root`, O_PATH | O_DIRECTORY);
  const opened = tryOpenAt(root, PATH, O_RDWR | O_NONBLOCK, { resolve: RESOLVE_IN_ROOT | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS });
  if (opened < 0) return;
  using file = new Fd(opened);
  if ((statAt(file).mode & S_IFMT) !== S_IFREG || !MACHINE_ID.test(Buffer.from(read(file, LIMIT)).toString("latin1"))) return;
  rewind(file);
  writeAll(file, Buffer.from(randomBytes(16)).toString("hex"));
}
