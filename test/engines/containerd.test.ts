import { RUNC_SHIM } from "./containerd.ts";
import { containerdSuite } from "./containerd-suite.ts";

containerdSuite({ ...RUNC_SHIM, env: { TSSANDBOX_MODE: "namespace" } });
