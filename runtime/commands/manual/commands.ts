import type { Command, Option } from "commander";

/** What users see of it: without those that are hidden. */
export const visibleCommands = (command: Command): Command[] => command.createHelp().visibleCommands(command).filter(({ parent }) => parent === command);

export const visibleOptions = (command: Command): Option[] => command.createHelp().visibleOptions(command);
