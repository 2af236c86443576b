/** `npm run bench:root`: builds the Debian in which the workloads of `tssandbox bench` run, which is that of the tests. */
import { debianDevelopmentRoot } from "../test/support/debian.ts";

console.log(await debianDevelopmentRoot());
