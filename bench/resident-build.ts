/** Builds the resident parent of the bench: a program of its own, since it needs V8's flags of its own. */
import { join } from "node:path";
import { bundle } from "../scripts/bundle.ts";
import { PARTS } from "../scripts/parts.ts";
import { RESIDENT, RESIDENT_FLAGS } from "./suites/resident.ts";

await bundle(join(import.meta.dirname, "resident.ts"), RESIDENT, RESIDENT_FLAGS, PARTS);
