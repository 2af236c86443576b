import process from "node:process";
import { Option } from "../commander.ts";
import { POLICY_NAMES, type PolicyName } from "../../policies/syscalls/names.ts";
import type { Registry } from "./registry.ts";

interface Flags {
  readonly policy: PolicyName;
  readonly format: "md" | "json";
}

export function registerSyscalls({ program, action }: Registry): void {
  program
    .command("syscalls")
    .description("print what becomes of each system call of a sandboxed program")
    .addOption(new Option("--policy <name>").choices(POLICY_NAMES).default("balanced"))
    .addOption(new Option("--format <format>").choices(["md", "json"]).default("md"))
    .action(action((_globals, flags: Flags) => printPolicy(flags)));
}

async function printPolicy({ policy, format }: Flags): Promise<number> {
  // Setting the table up takes milliseconds, which no other command needs to spend.
  const { policies } = await import("../../policies/syscalls/policy.ts");
  const { describePolicy, toMarkdown } = await import("../../policies/syscalls/describe.ts");
  await write(format === "json" ? `${JSON.stringify(describePolicy(policies[policy]), null, 2)}\n` : toMarkdown(policies[policy]));
  return 0;
}

/** It is more than a pipe holds: a stream waits for the reader, where writing at once would end in EAGAIN. */
async function write(text: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    process.stdout.once("error", reject);
    process.stdout.write(text, () => resolve());
  });
}
