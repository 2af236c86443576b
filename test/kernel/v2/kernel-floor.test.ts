// What an older kernel, Debian 12's 6.1, does in another way than the one of the development machines.
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { expect, test as plainTest } from "vitest";
import { describeRuntime } from "../../support/contract.ts";
import type { Mount } from "../../support/spec.ts";

const mapping = [{ containerID: 0, hostID: 5000, size: 1000 }];
const idmapped = (source: string): Mount => ({ destination: "/b", source, type: "none", options: ["rbind", "idmap"], uidMappings: mapping, gidMappings: mapping });

plainTest("the kernel is 6.1", () => expect(release()).toMatch(/^6\.1\./));

describeRuntime("kernel floor", ({ test, make }) => {
  test("ext4 is idmapped", async () => {
    const source = mkdtempSync("/var/tmp/idmapped-");
    try {
      chmodSync(source, 0o755);
      writeFileSync(`${source}/file`, "");
      chownSync(`${source}/file`, 7, 8);
      await using c = make({ args: ["stat", "-c", "%u:%g", "/b/file"], edit: (spec) => void spec.mounts.push(idmapped(source)) });
      expect(await c.mustRun()).toBe("5007:5008\n");
    } finally {
      rmSync(source, { recursive: true });
    }
  });

  test("tmpfs, which 6.3 can idmap, is refused with the reason, and nothing is left", async () => {
    await using c = make({ edit: (spec, bundle) => {
      mkdirSync(bundle.path("source"));
      spec.mounts.push(idmapped(bundle.path("source")));
    } });
    expect(await c.create()).toMatchObject({ code: 1, stderr: expect.stringMatching(/mount_setattr \S+\/source: invalid argument \(EINVAL\); its file system cannot be idmapped with this kernel/) });
    await c.expectNothingLeft();
  });

  test("the program runs through a memfd without MFD_EXEC, and no descriptor of ours stays", async () => {
    await using c = make({ args: ["/probe"] });
    const probe = await c.probe();
    expect(probe.exe).toBe("/probe");
    expect(probe.fds.map(({ fd }) => fd)).toEqual([0, 1, 2]);
  });
});
