/**
 * On platform ptrace: all areas, a terminal, and of programs and CPython's modules those that are about processes, signals, threads and waiting, where a tracer could
 * show. `TSSANDBOX_PLATFORM=ptrace vitest run --project sandbox` runs everything.
 */
import process from "node:process";

process.env["TSSANDBOX_PLATFORM"] = "ptrace";
process.env["TSSANDBOX_PROGRAMS"] ??= "coreutils debuggers storm";
process.env["TSSANDBOX_MODULES"] ??= "test_signal test_subprocess test_posix test_threading test_select test_poll test_epoll test_pty test_resource test_time";
await import("./areas.test.ts");
await import("./terminal.test.ts");
await import("./programs.test.ts");
await import("./cpython.test.ts");
