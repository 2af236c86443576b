/**
 * Reads a plain command line, as engines write them, in a fraction of the time that commander takes to load and to set its commands up. Whatever
 * is not plain (help, a mistake, short flags in one word) is left to commander, which has the last word on what is right:
 * quick-command.test.ts compares the two.
 */
import process from "node:process";
import type { Command } from "commander";
import type { Registry } from "./commands/registry.ts";
import type { GlobalOption } from "./global-options.ts";

type Values = Record<string, unknown>;
type Parse = (text: string, before?: never) => unknown;

interface QuickOption {
  /** `--name` and `-n`, as far as there are. */
  readonly names: readonly string[];
  /** Where its value goes. */
  readonly key: string;
  readonly takesValue: boolean;
  /** Of `--no-name`: it sets `name` to false. */
  readonly negated: boolean;
  readonly parse: Parse | undefined;
}

interface QuickArgument {
  readonly required: boolean;
  readonly variadic: boolean;
  readonly parse: Parse | undefined;
  readonly initial: unknown;
}

/** Says that the line is commander's. */
class NotPlain extends Error {}

const camelCase = (name: string) => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());

function quickOption(flags: string, parse: Parse | undefined): QuickOption {
  const names = flags.match(/(?<=^|[ ,])--?[a-z][a-z-]*/g) ?? [];
  const long = names.at(-1)?.slice(2) ?? "";
  const negated = long.startsWith("no-");
  return { names, key: camelCase(negated ? long.slice(3) : long), takesValue: flags.includes("<"), negated, parse };
}

/** As much of commander's Command as the commands of a container's life use to describe themselves. */
class QuickCommand {
  readonly #options: QuickOption[] = [];
  readonly #arguments: QuickArgument[] = [];
  readonly values: Values = {};
  #passThrough = false;
  #action: ((...args: unknown[]) => Promise<void>) | undefined;

  description(): this {
    return this;
  }

  argument(flags: string, _description?: string, parse?: Parse, initial?: unknown): this {
    this.#arguments.push({ required: flags.startsWith("<"), variadic: flags.includes("..."), parse, initial });
    return this;
  }

  option(flags: string, _description: string, parse?: unknown, initial?: unknown): this {
    const option = quickOption(flags, typeof parse === "function" ? (parse as Parse) : undefined);
    this.#options.push(option);
    const first = typeof parse === "function" ? initial : parse;
    if (option.negated) this.values[option.key] = true;
    else if (first !== undefined) this.values[option.key] = first;
    return this;
  }

  passThroughOptions(): this {
    this.#passThrough = true;
    return this;
  }

  action(action: (...args: never[]) => Promise<void>): this {
    this.#action = action as (...args: unknown[]) => Promise<void>;
    return this;
  }

  /** Takes what `words` begins with, up to the first that is no option. @returns the rest. */
  takeOptions(words: readonly string[]): readonly string[] {
    let rest = words;
    for (let word = rest[0]; word !== undefined && word.startsWith("-"); word = rest[0]) {
      const at = word.startsWith("--") ? word.indexOf("=") : -1;
      const option = this.#options.find(({ names }) => names.includes(at < 0 ? word : word.slice(0, at)));
      if (option === undefined || (at >= 0 && !option.takesValue)) throw new NotPlain();
      rest = rest.slice(1);
      if (option.takesValue && at < 0) rest = this.#takeValue(option, rest);
      else this.#set(option, word.slice(at + 1));
    }
    return rest;
  }

  #takeValue(option: QuickOption, [value, ...rest]: readonly string[]): readonly string[] {
    if (value === undefined || value.startsWith("-")) throw new NotPlain();
    this.#set(option, value);
    return rest;
  }

  #set({ key, takesValue, negated, parse }: QuickOption, value: string): void {
    if (!takesValue) this.values[key] = !negated;
    else this.values[key] = parse === undefined ? value : parse(value, this.values[key] as never);
  }

  /** @returns what is to be done. @param words those behind the command's name. */
  parse(words: readonly string[]): () => Promise<void> {
    const given: string[] = [];
    for (let rest = this.takeOptions(words); rest.length > 0; rest = this.takeOptions(rest.slice(1))) {
      given.push(...(this.#passThrough ? rest : rest.slice(0, 1)));
      if (this.#passThrough) break;
    }
    const action = this.#action;
    const args = this.#argumentsOf(given);
    if (action === undefined) throw new NotPlain();
    return () => action(...args, this.values);
  }

  #argumentsOf(given: readonly string[]): unknown[] {
    const last = this.#arguments.at(-1);
    if (given.length > this.#arguments.length && last?.variadic !== true) throw new NotPlain();
    return this.#arguments.map(({ required, variadic, parse, initial }, i) => {
      if (variadic) return given.slice(i);
      const text = given[i];
      if (text === undefined && required) throw new NotPlain();
      return text === undefined ? initial : parse === undefined ? text : parse(text);
    });
  }
}

export interface QuickLine {
  /** The global options. */
  readonly flags: Readonly<Values>;
  /** Runs the command's action. */
  readonly run: () => Promise<void>;
}

/**
 * @param commands what describes each, by name. @param action see `Registry`.
 * @returns undefined where the line is one for commander.
 */
export function parseQuickly(args: readonly string[], globals: readonly GlobalOption[], commands: Readonly<Record<string, (registry: Registry) => void>>, action: Registry["action"]): QuickLine | undefined {
  try {
    const program = new QuickCommand();
    for (const { flags, description, initial } of globals) program.option(flags, description, initial);
    const [name = "", ...words] = program.takeOptions(args);
    const register = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (register === undefined) return undefined;
    const flags = withEnvironment(program.values, globals);
    const command = new QuickCommand();
    // Of the program a command uses nothing but this.
    register({ program: { command: () => command } as unknown as Command, action });
    return { flags, run: command.parse(words) };
  } catch {
    // A value that a parser refuses, too: commander says it in its own words.
    return undefined;
  }
}

function withEnvironment(values: Values, globals: readonly GlobalOption[]): Values {
  for (const { flags, choices, env } of globals) {
    const { key } = quickOption(flags, undefined);
    if (env !== undefined && values[key] === undefined && process.env[env] !== undefined) values[key] = process.env[env];
    if (choices !== undefined && values[key] !== undefined && !choices.includes(values[key] as string)) throw new NotPlain();
  }
  return values;
}
