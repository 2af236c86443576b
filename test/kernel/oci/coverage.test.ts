/**
 * Where each field of config.json is tested on the real kernel: a map for the reader, checked against the schema. It does not show that a
 * test is a good one, but a field without one fails here.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { SpecSchema } from "../../../runtime/spec/config.ts";
import { projectRoot, removeWorkDir } from "../../support/paths.ts";

afterAll(removeWorkDir);

/** A field, or an object with all of its fields -> a file below test/kernel, and words of a test's name or of a row in its table. */
const TESTED: Readonly<Record<string, readonly [file: string, words: string]>> = {
  "ociVersion": ["oci/errors.test.ts", "an unsupported ociVersion"],
  "hostname": ["oci/namespaces.test.ts", "hostname and domainname"],
  "domainname": ["oci/namespaces.test.ts", "hostname and domainname"],
  "annotations": ["oci/lifecycle.test.ts", "state has every field of the specification and runc's own"],
  "root.path": ["oci/rootfs.test.ts", "root.path may be absolute"],
  "root.readonly": ["oci/rootfs.test.ts", "root.readonly: the root cannot be written, a mount on it can"],
  "solaris": ["oci/fields.test.ts", "is passed over with a warning"],
  "windows": ["oci/fields.test.ts", "is passed over with a warning"],
  "vm": ["oci/fields.test.ts", "is passed over with a warning"],
  "zos": ["oci/fields.test.ts", "is passed over with a warning"],
  "freebsd": ["oci/fields.test.ts", "is passed over with a warning"],

  "process.args": ["oci/process.test.ts", "args reach the program unchanged"],
  "process.env": ["oci/process.test.ts", "the environment is the configured one; HOME comes from the container's passwd if it is missing"],
  "process.cwd": ["oci/process.test.ts", "cwd is entered, and made if it is missing"],
  "process.terminal": ["oci/console.test.ts", "the slave is standard input, output and error, the controlling terminal and /dev/console; the process leads its session"],
  "process.consoleSize": ["oci/console.test.ts", "consoleSize is the window size from the start"],
  "process.user": ["oci/process.test.ts", "user, group, additional groups and umask"],
  "process.user.username": ["oci/fields.test.ts", "process.commandLine and process.user.username, which are Windows', change nothing"],
  "process.commandLine": ["oci/fields.test.ts", "process.commandLine and process.user.username, which are Windows', change nothing"],
  "process.capabilities": ["oci/process-privileges.test.ts", "an unprivileged user keeps only the ambient set"],
  "process.rlimits[]": ["oci/process.test.ts", "rlimits"],
  "process.noNewPrivileges": ["oci/process-privileges.test.ts", "with noNewPrivileges a set-user-id program gains nothing"],
  "process.apparmorProfile": ["v2/apparmor.test.ts", "the profile confines the container's process, and those that exec adds"],
  "process.selinuxLabel": ["oci/labels.test.ts", "is refused in one line and leaves nothing"],
  "process.oomScoreAdj": ["oci/process.test.ts", "without oomScoreAdj the caller's value stays"],
  "process.scheduler": ["oci/process.test.ts", "SCHED_FIFO with a flag"],
  "process.scheduler.runtime": ["oci/process.test.ts", "scheduler: SCHED_DEADLINE"],
  "process.scheduler.deadline": ["oci/process.test.ts", "scheduler: SCHED_DEADLINE"],
  "process.scheduler.period": ["oci/process.test.ts", "scheduler: SCHED_DEADLINE"],
  "process.ioPriority": ["oci/process.test.ts", "ioPriority ${name}"],
  "process.execCPUAffinity.initial": ["oci/fields.test.ts", "execCPUAffinity.initial is in force until the process is in its cgroup, and without final it stays"],
  "process.execCPUAffinity.final": ["oci/process.test.ts", "execCPUAffinity holds for exec and not for the container's process"],

  "mounts[].destination": ["oci/mounts.test.ts", "destinations of directories are made as directories"],
  "mounts[].type": ["oci/mounts.test.ts", "an unknown file system type fails and leaves nothing"],
  "mounts[].source": ["oci/mounts.test.ts", "a relative source counts from the bundle"],
  "mounts[].options": ["oci/mounts.test.ts", "the last of two opposites counts"],
  "mounts[].uidMappings[]": ["oci/mounts.test.ts", "idmap shifts the owners of a bind, and of nothing below it"],
  "mounts[].gidMappings[]": ["oci/mounts.test.ts", "idmap shifts the owners of a bind, and of nothing below it"],

  "hooks.prestart[]": ["oci/hooks.test.ts", "${what} run in order, each at its moment of the life cycle"],
  "hooks.createRuntime[]": ["oci/hooks.test.ts", "a createRuntime hook has no descriptor of the runtime but its standard streams"],
  "hooks.createContainer[]": ["oci/hooks.test.ts", "createContainer sees the container's mounts before the root is changed"],
  "hooks.startContainer[]": ["oci/hooks.test.ts", "a failing startContainer hook fails start, and the process never runs"],
  "hooks.poststart[]": ["oci/hooks.test.ts", "poststart runs after the container's process has been executed"],
  "hooks.poststop[]": ["oci/hooks.test.ts", "a failing poststop hook is a warning, the others still run and delete succeeds"],

  "linux.uidMappings[]": ["oci/namespaces.test.ts", "uid and gid mappings"],
  "linux.gidMappings[]": ["oci/namespaces.test.ts", "uid and gid mappings"],
  "linux.sysctl": ["oci/namespaces.test.ts", "sysctls of the container's namespaces are set there and nowhere else"],
  "linux.namespaces[].type": ["oci/namespaces.test.ts", "${kind}: the container gets one of its own, and only where it is listed"],
  "linux.namespaces[].path": ["oci/namespaces.test.ts", "user and network together, as in a pod: the owner is joined first"],
  "linux.timeOffsets": ["oci/namespaces.test.ts", "time offsets move the container's clocks"],
  "linux.devices[]": ["oci/rootfs.test.ts", "linux.devices: kinds, numbers, modes and owners"],
  "linux.netDevices.*.name": ["oci/network-devices.test.ts", "a device moves into the container: renamed, up, with its permanent global addresses, MTU and hardware address; it works"],
  "linux.rootfsPropagation": ["oci/mounts.test.ts", "rootfsPropagation ${value} is that of the root mount"],
  "linux.maskedPaths": ["oci/rootfs.test.ts", "masked files read empty, masked directories are empty and read-only, missing ones are no error"],
  "linux.readonlyPaths": ["oci/rootfs.test.ts", "read-only paths refuse writing, below too; missing ones are no error"],
  "linux.mountLabel": ["oci/labels.test.ts", "is refused in one line and leaves nothing"],
  "linux.intelRdt": ["oci/intel-rdt.test.ts", "without closID: a group named after the container, its schemata, its process in it; removed at delete"],
  "linux.intelRdt.closID": ["oci/intel-rdt.test.ts", "a class is made by the first container, shared with the next, and stays"],
  "linux.intelRdt.enableMonitoring": ["oci/intel-rdt.test.ts", "enableMonitoring: a monitoring group of the container's name in its class, removed with it"],
  "linux.memoryPolicy": ["oci/fields.test.ts", "memoryPolicy ${JSON.stringify(memoryPolicy)}"],
  "linux.personality.domain": ["oci/process.test.ts", "personality LINUX32 changes uname; LINUX does not"],
  "linux.personality.flags": ["oci/fields.test.ts", "personality with flags, of which there are none"],

  "linux.seccomp.defaultAction": ["oci/seccomp.test.ts", "defaultErrnoRet is the number of the default action; what is listed is allowed"],
  "linux.seccomp.defaultErrnoRet": ["oci/seccomp.test.ts", "defaultErrnoRet is the number of the default action; what is listed is allowed"],
  "linux.seccomp.architectures[]": ["oci/fields.test.ts", "architectures ${architectures.join()}: a 32-bit program"],
  "linux.seccomp.flags[]": ["oci/seccomp.test.ts", "flags ${JSON.stringify(flags)}"],
  "linux.seccomp.listenerPath": ["oci/seccomp.test.ts", "the listener gets the descriptor and the container process state, and decides"],
  "linux.seccomp.listenerMetadata": ["oci/seccomp.test.ts", "the listener gets the descriptor and the container process state, and decides"],
  "linux.seccomp.syscalls[]": ["oci/seccomp.test.ts", "SCMP_ACT_ERRNO without a number is EPERM, with one it is that"],
  "linux.seccomp.syscalls[].args[]": ["oci/seccomp.test.ts", "several arguments must all match; two rules for one call are alternatives"],

  "linux.cgroupsPath": ["oci/cgroups.test.ts", "a path of several levels is made, and only its last one is removed"],
  "linux.resources.devices[]": ["oci/cgroups.test.ts", "a rule allows what it names, and no other access"],
  "linux.resources.memory.limit": ["oci/cgroups.test.ts", "memory.limit holds: a process over it is killed, and the engine can see that in the cgroup"],
  "linux.resources.memory.reservation": ["oci/cgroups.test.ts", "memory.reservation"],
  "linux.resources.memory.swap": ["oci/cgroups.test.ts", "memory.swap counts memory and swap"],
  "linux.resources.memory.kernel": ["oci/hybrid-resources.test.ts", "memory.kernel, which the kernel no longer has, is passed over with a warning"],
  "linux.resources.memory.kernelTCP": ["oci/cgroups.test.ts", "memory.kernelTCP"],
  "linux.resources.memory.swappiness": ["oci/cgroups.test.ts", "memory.swappiness"],
  "linux.resources.memory.disableOOMKiller": ["oci/cgroups.test.ts", "memory.disableOOMKiller"],
  "linux.resources.memory.useHierarchy": ["oci/hybrid-resources.test.ts", "memory.useHierarchy is what the kernel does anyway"],
  "linux.resources.memory.checkBeforeUpdate": ["oci/hybrid-resources.test.ts", "memory.checkBeforeUpdate: a limit below the usage is refused before it is set, without it the kernel reclaims or refuses"],
  "linux.resources.cpu.shares": ["oci/cgroups.test.ts", "cpu.shares"],
  "linux.resources.cpu.quota": ["oci/cgroups.test.ts", "cpu.quota and period"],
  "linux.resources.cpu.period": ["oci/cgroups.test.ts", "cpu.quota and period"],
  "linux.resources.cpu.burst": ["oci/cgroups.test.ts", "cpu.burst"],
  "linux.resources.cpu.realtimeRuntime": ["oci/cgroups.test.ts", "cpu.realtimeRuntime and period"],
  "linux.resources.cpu.realtimePeriod": ["oci/cgroups.test.ts", "cpu.realtimeRuntime and period"],
  "linux.resources.cpu.cpus": ["oci/cgroups.test.ts", "cpu.cpus bounds the container's affinity"],
  "linux.resources.cpu.mems": ["oci/cgroups.test.ts", "cpu.cpus and mems"],
  "linux.resources.cpu.idle": ["oci/cgroups.test.ts", "cpu.idle"],
  "linux.resources.pids.limit": ["oci/cgroups.test.ts", "pids.limit holds"],
  "linux.resources.blockIO": ["oci/cgroups.test.ts", "blkio: throttling of a block device"],
  "linux.resources.blockIO.weight": ["oci/hybrid-resources.test.ts", "blockIO.weight is BFQ's, since CFQ is gone"],
  "linux.resources.blockIO.leafWeight": ["oci/hybrid-resources.test.ts", "blockIO.leafWeight, which went with CFQ"],
  "linux.resources.blockIO.weightDevice[]": ["oci/hybrid-resources.test.ts", "blockIO.weightDevice for a device that does not exist"],
  "linux.resources.hugepageLimits[]": ["oci/hybrid-resources.test.ts", "hugepageLimits are set where the controller is, in v2; update changes them"],
  "linux.resources.network.classID": ["oci/hybrid-resources.test.ts", "network.classID"],
  "linux.resources.network.priorities[]": ["oci/hybrid-resources.test.ts", "network.priorities"],
  "linux.resources.rdma.*": ["oci/hybrid-resources.test.ts", "rdma"],
  "linux.resources.unified": ["v2/cgroups.test.ts", "writes every limit to its file"],
};

/** As much of a valibot schema as is looked at. */
interface Schema {
  readonly type: string;
  readonly wrapped?: Schema;
  readonly pipe?: readonly Schema[];
  readonly entries?: Readonly<Record<string, Schema>>;
  readonly item?: Schema;
  readonly value?: Schema;
}

/** Every field that is no object itself; `[]` for a list, `.*` for a map of objects. */
function fieldsOf(schema: Schema, path = ""): string[] {
  const inner = schema.type === "optional" ? schema.wrapped : schema.pipe?.[0] === schema ? undefined : schema.pipe?.[0];
  if (inner !== undefined) return fieldsOf(inner, path);
  if (schema.entries !== undefined) return Object.entries(schema.entries).flatMap(([key, value]) => fieldsOf(value, path === "" ? key : `${path}.${key}`));
  if (schema.type === "array" && schema.item !== undefined) return fieldsOf(schema.item, `${path}[]`);
  if (schema.type === "record" && schema.value?.entries !== undefined) return fieldsOf(schema.value, `${path}.*`);
  return [path];
}

/** The longest key of the table that is the field or an object around it. */
const entryOf = (field: string): string | undefined =>
  Object.keys(TESTED).filter((key) => field === key || field.startsWith(`${key}.`) || field.startsWith(`${key}[`)).sort((a, b) => b.length - a.length)[0];

const textOf = (file: string): string => readFileSync(join(projectRoot, "test/kernel", file), "utf8");
const fields = fieldsOf(SpecSchema as unknown as Schema);

test("the schema has been walked", () => {
  expect(fields.length).toBeGreaterThan(150);
  expect(fields).toEqual(expect.arrayContaining(["process.args", "mounts[].options", "linux.seccomp.syscalls[].args[].valueTwo", "linux.resources.rdma.*.hcaHandles", "linux.netDevices.*.name"]));
});

test("every field is tested somewhere", () => {
  expect(fields.filter((field) => entryOf(field) === undefined)).toEqual([]);
});

test("every entry is about a field that there is", () => {
  const used = new Set(fields.map(entryOf));
  expect(Object.keys(TESTED).filter((key) => !used.has(key))).toEqual([]);
});

test("every test that is named is there", () => {
  const missing = Object.entries(TESTED).filter(([, [file, words]]) => !existsSync(join(projectRoot, "test/kernel", file)) || !new RegExp(`["\`][^"\`\\n]*${RegExp.escape(words)}`).test(textOf(file)));
  expect(missing).toEqual([]);
});

test("the file that is named uses the field", () => {
  const unused = fields.filter((field) => {
    const [file] = TESTED[entryOf(field) ?? ""] ?? [];
    const name = /([^.[\]*]+)(\[\]|\.\*)?$/.exec(field)?.[1] ?? "";
    return file !== undefined && !new RegExp(`\\b${name}\\b`).test(textOf(file));
  });
  expect(unused).toEqual([]);
});
