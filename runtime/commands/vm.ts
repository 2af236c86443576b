/** `vm`: what the host can do for micro-VMs, and the image that they boot. */
import { checkVm, describeReadiness } from "../../vmm/check.ts";
import { buildImage } from "../../vmm/image/build.ts";
import { listenUnix } from "../../linux/socket.ts";
import { listenVsock } from "../../linux/vsock.ts";
import { runAgent } from "../vm/agent.ts";
import { AGENT_PORT } from "../vm/protocol.ts";
import { programFiles } from "../vm/program-files.ts";
import { print } from "./print.ts";
import type { Registry } from "./registry.ts";

interface BuildFlags {
  readonly kernel: string;
  readonly modules: string;
  readonly output: string;
  readonly busybox: string;
}

export function registerVm({ program, action }: Registry): void {
  const vm = program.command("vm").description("micro-VMs: what this host can do, and their image");
  vm
    .command("check")
    .description("say in plain words whether this host can run containers with --mode vm; exit status 1 where it cannot")
    .action(
      action(() => {
        const readiness = checkVm();
        print(describeReadiness(readiness));
        return readiness.kind === "ready" || readiness.kind === "nested" ? 0 : 1;
      }),
    );
  vm
    .command("build")
    .description("make what a machine boots: kernel, initramfs, and an image with this program")
    .requiredOption("--kernel <file>", "a distribution's kernel: bzImage, or ELF with PVH")
    .requiredOption("--modules <dir>", "its modules: /lib/modules/RELEASE")
    .requiredOption("--output <dir>", "is made, or filled")
    .option("--busybox <file>", "a static busybox", "/bin/busybox")
    .action(
      action((_globals, { kernel, modules, output, busybox }: BuildFlags) => {
        buildImage({ kernel, modules, output, busybox, program: programFiles() });
        return 0;
      }),
    );
  vm
    .command("agent", { hidden: true })
    .option("--listen <path>", "a unix socket instead of vsock: for tests")
    .action(
      action((globals, { listen }: { listen?: string }) => runAgent(listen === undefined ? listenVsock(AGENT_PORT) : listenUnix(listen), globals.root, globals.log)),
    );
}
