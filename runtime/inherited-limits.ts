import process from "node:process";

/**
 * The soft limit of open descriptors that the caller gave us, which Node raises before any of our code runs. bin/tssandbox passes it as the
 * first argument; undefined where it is unlimited or the program was started in another way.
 */
export const INHERITED_NOFILE: { readonly soft: bigint | undefined } = { soft: parse(process.argv[2]) };

function parse(argument: string | undefined): bigint | undefined {
  const match = /^--inherited-nofile=(\d+)$/.exec(argument ?? "");
  return match?.[1] === undefined ? undefined : BigInt(match[1]);
}

/** The user's arguments, without ours. */
export function userArguments(): string[] {
  const args = process.argv.slice(2);
  return args[0]?.startsWith("--inherited-nofile=") === true ? args.slice(1) : args;
}
