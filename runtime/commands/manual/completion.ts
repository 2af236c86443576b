/** `completion bash`: a script made from the commands themselves. Container ids are asked for when they are needed. */
import type { Command, Option } from "commander";
import { print } from "../print.ts";
import type { Registry } from "../registry.ts";
import { visibleCommands, visibleOptions } from "./commands.ts";

export function registerCompletion({ program, action }: Registry): void {
  const completion = program.command("completion").description("print a completion script for a shell");
  completion
    .command("bash")
    .description("for bash: source <(tssandbox completion bash)")
    .action(
      action(() => {
        print(bashScript(program));
        return 0;
      }),
    );
}

/** Commands whose first word is a container's id. */
const takesId = (command: Command): boolean => command.registeredArguments[0]?.name() === "id" && !["create", "run"].includes(command.name());

const flagsOf = (options: readonly Option[]): string[] => options.flatMap(({ short, long }) => [long, short].filter((flag) => flag !== undefined && flag !== null));

export function bashScript(program: Command): string {
  const commands = visibleCommands(program);
  const choices = [program, ...commands].flatMap((command) => visibleOptions(command)).flatMap(({ long, argChoices }) => (argChoices === undefined ? [] : [`    ${long}) words="${argChoices.join(" ")}" ;;`]));
  const files = [program, ...commands].flatMap((command) => visibleOptions(command)).flatMap(({ long, flags }) => (/<(file|path|dir)>/.test(flags) ? [long ?? ""] : []));
  return `# bash completion of tssandbox
_tssandbox() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command= i words= root=
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${commands.map((command) => command.name()).join("|")}) command=\${COMP_WORDS[i]}; break ;;
      --root) root=\${COMP_WORDS[i+1]} ;;
    esac
  done
  case $before in
${[...new Set(choices)].join("\n")}
    ${[...new Set(files)].join("|")}) COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  if [ -z "$words" ]; then
    case $command in
      '') words="${[...flagsOf(visibleOptions(program)), ...commands.map((command) => command.name())].join(" ")}" ;;
${commands.map((command) => `      ${command.name()}) words="${[...flagsOf(visibleOptions(command)), ...visibleCommands(command).map((inner) => inner.name())].join(" ")}" ;;`).join("\n")}
    esac
    case $command in
      ${commands.filter(takesId).map((command) => command.name()).join("|")}) [ "$before" != "$command" ] || words="$words $(tssandbox \${root:+--root "$root"} list --quiet 2>/dev/null)" ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _tssandbox tssandbox`;
}
