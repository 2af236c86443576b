import { criSuite } from "./shim-cri-suite.ts";

criSuite();
