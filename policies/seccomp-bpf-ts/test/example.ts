import { compile, decide, disassemble, explain, simulate } from "../src/index.ts";
import type { Policy } from "../src/index.ts";

const policy: Policy = {
  defaultAction: "errno", // EPERM, unless defaultErrno says otherwise
  architectures: ["x86_64"],
  rules: [
    { names: ["read", "write", "close", "exit_group"], action: "allow" },
    // AF_UNIX only. The kernel looks at the lower 32 bits of this argument, so the filter does too.
    { names: ["socket"], action: "allow", args: [{ index: 0, op: "masked-eq", value: 0xffff_ffff, valueTwo: 1 }] },
    { names: ["socket"], action: "errno", errno: 97 },
    { names: ["ptrace"], action: "kill-process" },
  ],
};

const program = compile(policy); // Uint8Array of struct sock_filter
console.log(disassemble(program));

const call = { arch: "x86_64", nr: 41, args: [2, 1, 0] } as const; // socket(AF_INET, SOCK_STREAM, 0)
console.log(simulate(program, call).action, decide(policy, call).reason);
console.log(explain(policy, call).lines.join("\n"));
