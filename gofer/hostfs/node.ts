/** A file of the host that the kernel knows by a node id. */
import { S_IFDIR, S_IFMT, S_IFREG } from "../../linux/abi/fcntl.ts";
import type { StatBuffer } from "../../linux/stat-buffer.ts";
import { CachedFd } from "./fd-cache.ts";

/** Its own descriptor is O_PATH: it says which file is meant, whatever happens to its names. */
export class HostNode extends CachedFd {
  readonly id: number;
  readonly generation: number;
  readonly key: number | string;
  /** `S_IF*`; a file keeps it for life. */
  readonly type: number;
  readonly birthSeconds: number;
  readonly birthNanoseconds: number;
  /** References that the kernel holds. */
  lookups = 0;
  /** Where it was found last, to open it again; undefined for the root and for what has lost that name. */
  parent: HostNode | undefined;
  /** One character a byte. */
  name = "";
  /** Opened for reading, perhaps for writing: used where the kernel does not ask to open. */
  readonly data = new CachedFd();
  dataWritable = false;
  /** A directory whose new files get its group. */
  setsGroup = false;
  /** As the guest knows it. */
  group = 0;
  /** The listing's position, two halves, for the same. */
  listLow = 0;
  listHigh = 0;
  /** Forgotten, or found to be another file. */
  dead = false;

  constructor(id: number, generation: number, key: number | string, { mode, birthSeconds, birthNanoseconds }: Pick<StatBuffer, "mode" | "birthSeconds" | "birthNanoseconds">) {
    super();
    this.id = id;
    this.generation = generation;
    this.key = key;
    this.type = mode & S_IFMT;
    this.birthSeconds = birthSeconds;
    this.birthNanoseconds = birthNanoseconds;
  }

  get isDirectory(): boolean {
    return this.type === S_IFDIR;
  }

  get isRegular(): boolean {
    return this.type === S_IFREG;
  }

  /** Whether `stat`, of the same device and inode number, is this file, and not a later one that has got its number. */
  isSameFile(stat: StatBuffer): boolean {
    return (
      (stat.mode & S_IFMT) === this.type && stat.birthSeconds === this.birthSeconds && stat.birthNanoseconds === this.birthNanoseconds
    );
  }
}
