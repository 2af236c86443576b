/** `man`: a manual page made from the commands themselves. Source: man(7), man-pages(7). */
import type { Command, Option } from "commander";
import { CONFIG_FILE } from "../../config/config.ts";
import { VERSION } from "../../version.ts";
import { print } from "../print.ts";
import type { Registry } from "../registry.ts";
import { visibleCommands, visibleOptions } from "./commands.ts";

export function registerMan({ program, action }: Registry): void {
  program
    .command("man")
    .description("print the manual page: tssandbox man | man -l -")
    .action(
      action(() => {
        print(manualPage(program));
        return 0;
      }),
    );
}

/** A backslash begins an escape, a dash is a hyphen unless escaped, and a line that begins with a dot or a quote is a request. */
const escaped = (text: string): string => text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replaceAll(/^([.'])/gm, "\\&$1");

const bold = (text: string): string => `\\fB${escaped(text)}\\fR`;

const item = (head: string, body: string): string => `.TP\n${head}\n${escaped(body)}`;

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1) + (text.endsWith(".") ? "" : ".");

function optionItem({ flags, description, argChoices, defaultValue, envVar }: Option): string {
  const notes = [argChoices === undefined ? "" : `One of ${argChoices.join(", ")}.`, typeof defaultValue === "string" && defaultValue !== "" && !defaultValue.startsWith("/") ? `Default: ${defaultValue}.` : "", envVar === undefined ? "" : `Environment: ${envVar}.`];
  return item(bold(flags), [sentence(description || "accepted"), ...notes].filter((note) => note !== "").join(" "));
}

/** With its own ones, if it has any. */
function commandSection(command: Command, prefix = ""): string {
  const name = `${prefix}${command.name()}`;
  const words = command.registeredArguments.map((argument) => `${argument.required ? "<" : "["}${argument.name()}${argument.variadic ? "..." : ""}${argument.required ? ">" : "]"}`);
  const head = `.SS ${[name, ...words].map(escaped).join(" ")}\n${escaped(sentence(command.description()))}`;
  const options = visibleOptions(command).filter(({ long }) => long !== "--help");
  return [head, ...options.map(optionItem), ...visibleCommands(command).map((inner) => commandSection(inner, `${name} `))].join("\n");
}

export function manualPage(program: Command): string {
  return `.TH TSSANDBOX 1 "" "tssandbox ${VERSION}" "User Commands"
.SH NAME
tssandbox \\- ${escaped(program.description())}
.SH SYNOPSIS
${bold("tssandbox")} [options] <command> [arguments]
.SH DESCRIPTION
${escaped("An OCI runtime with runc's commands. A container runs in a sandbox (mode sentry), in a virtual machine of its own (vm), or directly on the host's kernel (namespace).")}
.SH OPTIONS
${visibleOptions(program).map(optionItem).join("\n")}
.SH COMMANDS
${visibleCommands(program).map((command) => commandSection(command)).join("\n")}
.SH FILES
${item(bold(CONFIG_FILE), "The host's configuration. None is needed.")}
${item(bold("/run/tssandbox/ID"), "State of a container.")}
.SH ENVIRONMENT
${item(bold("TSSANDBOX_MODE"), "As --mode.")}
${item(bold("TSSANDBOX_VM_IMAGE"), "The folder that vm build has made.")}
.SH EXIT STATUS
${escaped("run, exec and do: the program's own, or 128 and the number of the signal that ended it. What cannot be set up: 1, of exec 255, of do 125. A command that does not exist: 3.")}`;
}
