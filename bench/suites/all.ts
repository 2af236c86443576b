import type { Suite } from "../suite.ts";
import { density } from "./density.ts";
import { files, network, processes } from "./guests.ts";
import { start } from "./start.ts";
import { syscalls } from "./syscalls.ts";
import { workloads } from "./workloads.ts";

/** In the order in which they are run: what takes longest comes last. */
export const SUITES: readonly Suite[] = [start, syscalls, files, processes, network, density, workloads];
