/**
 * How a socket that a task of the guest's has made comes to have its other end here: the sentry connects its own copy of it to a socket that listens under a
 * name in a file system which is attached nowhere. Nobody else can name it, in whatever network namespace.
 */
import { MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID } from "../../../linux/abi/mount.ts";
import { O_PATH } from "../../../linux/abi/fcntl.ts";
import { AF_UNIX, SOCK_CLOEXEC } from "../../../linux/abi/socket.ts";
import { Fd } from "../../../linux/fd.ts";
import { changeModeAt, openAt } from "../../../linux/file.ts";
import { permanentBlock } from "../../../linux/memory.unsafe.ts";
import { createMount } from "../../../linux/mount.ts";
import * as kernel from "../../../linux/on-behalf.ts";
import { listenUnix } from "../../../linux/socket.ts";

const NAME = "l";
/** struct sockaddr_un, as far as it is used. */
const ADDRESS_SIZE = 32;

export class Lobby {
  readonly #listening: Fd;
  readonly #name: Fd;
  readonly #address = permanentBlock(ADDRESS_SIZE);

  /** Preconditions: the right to mount, and /proc. */
  constructor() {
    using place = createMount("tmpfs", [["mode", "755"], ["nr_inodes", "2"]], MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    this.#listening = listenUnix(`${place.procPath}/${NAME}`);
    changeModeAt(place, NAME, 0o666);
    this.#name = openAt(place, NAME, O_PATH);
    // From the working directory, which the procfs is then.
    this.#address.view.setUint16(0, AF_UNIX, true);
    this.#address.bytes.set(Buffer.from(`self/fd/${this.#name.number}\0`), 2);
  }

  get descriptors(): readonly Fd[] {
    return [this.#listening, this.#name];
  }

  /** Preconditions: the working directory is the procfs. @returns the other end of a socket that is not connected; undefined where there is none. */
  meet(end: Fd): Fd | undefined {
    if (kernel.connect(end.number, this.#address.address, ADDRESS_SIZE) < 0) return undefined;
    const accepted = kernel.accept(this.#listening.number, SOCK_CLOEXEC);
    return accepted < 0 ? undefined : new Fd(accepted);
  }
}
