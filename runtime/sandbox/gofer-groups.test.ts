import { describe, expect, it } from "vitest";
import { mayWaitFor, type Source } from "./gofer-groups.ts";
import { parseMountInfo } from "./mountinfo.ts";

const MOUNTS = parseMountInfo(`27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:40 / /run rw,nosuid - tmpfs tmpfs rw
31 27 0:41 / /secret\\040one rw - tmpfs tmpfs rw
32 27 0:50 / /net rw shared:1 - nfs4 server:/ rw
33 27 0:51 / /data/deep ro - fuse.slow slow rw
34 27 254:0 /again /again rw - ext4 /dev/vda rw
`);

const at = (path: string, mountId: number, submounts = true): Source => ({ path, mountId, submounts });
const key = (name: string, source: Source): string => mayWaitFor(name, source, MOUNTS);

describe("which volumes share a gofer", () => {
  it("those of one file system, whichever mount leads there", () => {
    expect(key("a", at("/etc/hosts", 27))).toBe(key("b", at("/again", 34)));
  });

  it("those in memory, of different file systems", () => {
    expect(key("a", at("/run/a", 30))).toBe(key("b", at("/secret one", 31)));
  });

  it("not those of different file systems", () => {
    const all = [key("a", at("/etc", 27)), key("b", at("/run", 30)), key("c", at("/net/home", 32)), key("d", at("/data/deep", 33))];
    expect(new Set(all).size).toBe(4);
  });

  it("not one with mounts below, unless those are not lent", () => {
    expect(key("a", at("/data", 27))).toBe("a");
    expect(key("a", at("/", 27))).toBe("a");
    expect(key("a", at("/data", 27, false))).toBe(key("b", at("/etc", 27)));
    expect(key("a", at("/dat", 27))).toBe(key("b", at("/etc", 27)));
  });

  it("not one whose mount nobody knows", () => {
    expect(key("a", at("/elsewhere", 99))).toBe("a");
  });
});
