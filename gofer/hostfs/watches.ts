/**
 * Changes that others make in a shared directory. What the guest's kernel has cached is dropped by notifications that cannot wait for a lock:
 * whoever holds one may be waiting for us. So no names are invalidated one by one (FUSE_NOTIFY_INVAL_ENTRY takes the directory's lock), but all
 * at once by a new epoch (Linux 6.16), and of a file its attributes only: a changed time then drops its contents.
 *
 * It is best effort: where no more watches are to be had, or on an older kernel, what the kernel believes ends with its time, a second.
 */
import { CString } from "../../linux/c-string.ts";
import { tryRead } from "../../linux/data.ts";
import type { Fd } from "../../linux/fd.ts";
import type { FdLink } from "../../linux/fd-link.ts";
import { createInotify, IN, INOTIFY_EVENT, tryUnwatch, tryWatch } from "../../linux/inotify.ts";
import { permanentBlock } from "../../linux/memory.unsafe.ts";
import type { Changes, ChangeSink } from "../fuse/file-system.ts";
import type { HostNode } from "./node.ts";

const MASK = IN.CREATE | IN.DELETE | IN.MOVED_FROM | IN.MOVED_TO | IN.MODIFY | IN.ATTRIB | IN.EXCL_UNLINK;
const NAMES = IN.CREATE | IN.DELETE | IN.MOVED_FROM | IN.MOVED_TO;
const EVENTS_SIZE = 16_384;
const MAX_WATCHES = 4096;

export class Watches implements Changes {
  readonly #inotify: Fd;
  readonly #link: FdLink;
  readonly #byWatch = new Map<number, HostNode>();
  readonly #byNode = new Map<HostNode, number>();
  readonly #events = permanentBlock(EVENTS_SIZE);
  readonly #name = new CString(this.#events);
  readonly #find: (dir: HostNode, name: CString) => HostNode | undefined;

  private constructor(inotify: Fd, link: FdLink, find: (dir: HostNode, name: CString) => HostNode | undefined) {
    this.#inotify = inotify;
    this.#link = link;
    this.#find = find;
  }

  /** @param find the node of an entry, if the kernel knows it. @returns undefined where the host has no more of them. */
  static create(link: FdLink, find: (dir: HostNode, name: CString) => HostNode | undefined): Watches | undefined {
    const inotify = createInotify();
    return inotify === undefined ? undefined : new Watches(inotify, link, find);
  }

  get fd(): number {
    return this.#inotify.number;
  }

  /** Of a directory that the kernel knows; a second time costs a look. */
  watch(node: HostNode, fd: number): void {
    if (this.#byNode.has(node) || this.#byNode.size >= MAX_WATCHES) return;
    const watch = tryWatch(this.#inotify, this.#link.of(fd), MASK);
    // Remembered even if refused: it would be again.
    this.#byNode.set(node, watch);
    if (watch >= 0) this.#byWatch.set(watch, node);
  }

  unwatch(node: HostNode): void {
    const watch = this.#byNode.get(node);
    if (watch === undefined) return;
    this.#byNode.delete(node);
    if (watch < 0) return;
    this.#byWatch.delete(watch);
    tryUnwatch(this.#inotify, watch);
  }

  /**
   * What has just been done was done for the guest, whose kernel knows. Somebody else's change of the same moment is lost with it. One buffer
   * full: whoever changes names without end would keep us here, and what is left costs the guest's kernel a question.
   */
  discard(): void {
    this.#read();
  }

  /** One buffer full; the descriptor stays ready while there is more, and requests are answered in between. */
  take(sink: ChangeSink): void {
    const filled = this.#read();
    let namesChanged = false;
    for (let at = 0; at < filled; at += INOTIFY_EVENT.name + this.#events.view.getUint32(at + INOTIFY_EVENT.length, true)) {
      namesChanged = this.#takeEvent(at, filled, sink) || namesChanged;
    }
    if (namesChanged) sink.namesChanged();
  }

  #read(): number {
    return tryRead(this.#inotify, this.#events, 0, EVENTS_SIZE);
  }

  /** @returns whether a name has come or gone. */
  #takeEvent(at: number, end: number, sink: ChangeSink): boolean {
    const { view } = this.#events;
    const mask = view.getUint32(at + INOTIFY_EVENT.mask, true);
    if ((mask & IN.Q_OVERFLOW) !== 0) return true;
    const dir = this.#byWatch.get(view.getInt32(at + INOTIFY_EVENT.wd, true));
    if (dir === undefined) return false;
    const hasName = this.#name.point(this.#events, at + INOTIFY_EVENT.name, end) > 0 && view.getUint32(at + INOTIFY_EVENT.length, true) > 0;
    const node = hasName ? this.#find(dir, this.#name) : dir;
    if (node !== undefined) sink.attributesChanged(node.id);
    if ((mask & NAMES) === 0) return false;
    sink.attributesChanged(dir.id);
    return true;
  }

  close(): void {
    this.#inotify.close();
  }
}
