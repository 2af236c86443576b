/**
 * What programs see of a lent directory is what they see of a file system of the kernel's own: guest/files.c runs on a tmpfs in the guest's
 * user namespace, and on a directory on the host's tmpfs lent in every way there is.
 */
import { execFileSync } from "node:child_process";
import { beforeAll, describe, expect, test, afterAll } from "vitest";
import { removeWorkDir } from "../../support/paths.ts";
import { freshDirectory, guestFile, runOnMount, shellOn, type Lending } from "./mounted.ts";

afterAll(removeWorkDir);

const PARTS = [
  "creating", "set-group-directory", "identities", "contents", "holes", "names", "unlinked", "times", "listings", "attributes", "locks", "sockets",
  "rest",
];
/** xattr(7) has no attributes for links: their owner cannot be recorded. [as it is natively, as it is] */
const UNRECORDED: readonly (readonly [string, string])[] = [
  ["link in g+s: mode 120777 uid 0 gid 77", "link in g+s: mode 120777 uid 0 gid 0"],
  ["link after lchown: mode 120777 uid 7 gid 8", "link after lchown: mode 120777 uid 0 gid 0"],
];

interface Way extends Lending {
  readonly few?: boolean;
  readonly differs?: readonly (readonly [string, string])[];
}

const WAYS: Record<string, Way> = {
  exclusive: { cache: "exclusive" },
  "exclusive, written back later": { cache: "exclusive", writeback: true },
  shared: { cache: "shared" },
  "with owners recorded beside": { cache: "exclusive", ownership: { kind: "recorded" }, differs: UNRECORDED },
  "shared, with owners recorded beside": { cache: "shared", ownership: { kind: "recorded" }, differs: UNRECORDED },
  "exclusive, few descriptors": { cache: "exclusive", few: true },
  "shared, few descriptors": { cache: "shared", few: true },
};

/** Names, sizes, contents and link targets of all there is. */
const SUM = "export LC_ALL=C; find . -type f -size -5000k | sort | xargs -d '\\n' md5sum | md5sum; find . ! -type d -printf '%p %y %s %l %T@\\n' | sort";

let program = "";
const native = new Map<string, string>();

/** `--- name` begins a part. */
function parts(output: string): [string, string][] {
  return output.split("--- ").slice(1).map((part) => [part.slice(0, part.indexOf("\n")), part]);
}

beforeAll(() => {
  program = guestFile("files");
  const at = freshDirectory();
  const done = runOnMount({ lend: [], tmpfs: at, cwd: at, command: [program] });
  expect(done).toMatchObject({ code: 0, stderr: "" });
  for (const [name, output] of parts(done.stdout)) native.set(name, output);
});

test("the program has all its parts", () => {
  expect([...native.keys()]).toEqual(PARTS);
});

describe.each(Object.entries(WAYS))("lent %s", (_way, { few, differs, ...lending }) => {
  const lent = new Map<string, string>();
  const from = freshDirectory();
  beforeAll(() => {
    const limits = { nodeFds: 4, dataFds: 8, nodes: 10_000 };
    const done = shellOn(from, `${program} && echo '--- end' && ${SUM}`, lending, few === true ? { limits } : {});
    expect(done).toMatchObject({ code: 0, stderr: "" });
    for (const [name, output] of parts(done.stdout)) lent.set(name, output);
  });

  test("the host has what the guest sees", () => {
    const native = execFileSync("/bin/sh", ["-c", SUM], { cwd: from, encoding: "utf8" });
    expect(lent.get("end")).toBe(`end\n${native}`);
  });

  test.each(PARTS)("%s", (part) => {
    const expected = (differs ?? []).reduce((text, [natively, here]) => text?.replace(natively, here), native.get(part));
    expect(lent.get(part)).toBe(expected);
  });
});
