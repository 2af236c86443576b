import { fetchContainerd2 } from "./newer.ts";
import { streamsSuite } from "./shim-streams-suite.ts";

streamsSuite(fetchContainerd2);
