import { S_IFDIR, S_IFMT } from "../../linux/abi/fcntl.ts";
import { statAt } from "../../linux/file.ts";

const FIRST_PRESERVED = 3;

/**
 * A directory among the descriptors that a guest inherits would be a way around its mounts: from it `..` leads up to the host's own root, in the
 * mount namespace that it was opened in. @param preserved how many are inherited beside the standard streams. @throws Error
 */
export function refuseDirectories(preserved: number): void {
  for (let fd = 0; fd < FIRST_PRESERVED + preserved; fd++) {
    if ((statAt(fd).mode & S_IFMT) === S_IFDIR) throw new Error(`descriptor ${fd} is a directory of the host's, by which a sandbox's guest could leave its own root: give it as a mount`);
  }
}
