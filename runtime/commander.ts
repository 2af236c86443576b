/** The package, as a module of ours that scripts/parts.ts can put in a part: most commands of a container's life run without it. */
export { Command, CommanderError, Option } from "commander";
