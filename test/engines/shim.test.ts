import { containerdSuite } from "./containerd-suite.ts";
import { ownShim } from "./shim-driver.ts";

containerdSuite(ownShim("namespace"));
