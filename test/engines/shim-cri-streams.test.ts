import { streamsSuite } from "./shim-streams-suite.ts";

streamsSuite();
