/** `vm`: what the host can do for micro-VMs, and the image that they boot. */
import { resolve } from "node:path";
import { checkVm, describeReadiness } from "../../vmm/check.ts";
import { buildImage } from "../../vmm/image/build.ts";
import { listenUnix } from "../../linux/socket.ts";
import { listenVsock } from "../../linux/vsock.ts";
import { Container } from "../container/store.ts";
import { runAgent } from "../vm/agent.ts";
import { AGENT_PORT } from "../vm/protocol.ts";
import { programFiles } from "../vm/program-files.ts";
import { machineSettings } from "../vm/settings.ts";
import { saveContainer } from "../vm/snapshot.ts";
import { print } from "./print.ts";
import type { Registry } from "./registry.ts";
import { addRunOptions, runContainer, type RunFlags } from "./run.ts";

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
    .command("snapshot")
    .argument("<id>")
    .argument("<dir>", "is made")
    .description("save a running container with its machine; it goes on")
    .action(
      action((globals, id: string, folder: string) => {
        const container = Container.open(globals.root, id);
        saveContainer(container, machineSettings(container.spec(), globals.config.vm ?? {}), resolve(folder));
        return 0;
      }),
    );
  addRunOptions(vm.command("restore").argument("<dir>", "from snapshot").argument("<id>").description("a new container that goes on from a snapshot; in the foreground unless --detach"))
    .option("--network <path>", "its network namespace, where the snapshot's machine has a network; else the original's, once that has ended")
    .action(
      action((globals, folder: string, id: string, { network, ...flags }: RunFlags & { readonly network?: string }) => {
        const snapshot = resolve(folder);
        return runContainer(globals, id, { ...flags, bundle: snapshot }, { snapshot, ...(network === undefined ? {} : { network: resolve(network) }) });
      }),
    );
  vm
    .command("agent", { hidden: true })
    .option("--listen <path>", "a unix socket instead of vsock: for tests")
    .action(
      action((globals, { listen }: { listen?: string }) => runAgent(listen === undefined ? listenVsock(AGENT_PORT) : listenUnix(listen), globals.root, globals.log)),
    );
}
