import { ConfigError } from "./report.ts";

const MAX_ID_LENGTH = 1024;

/**
 * A container id is a directory name below --root and part of cgroup names: runc's alphabet (libcontainer/factory_linux.go,
 * validateID), and nothing that a path would read as "here" or "up".
 *
 * @throws {ConfigError}
 */
export function validateId(id: string): void {
  const refuse = (reason: string): never => {
    throw new ConfigError("container id", "", `${reason}: ${JSON.stringify(id.slice(0, 80))}`);
  };
  if (id === "") refuse("must not be empty");
  if (id.length > MAX_ID_LENGTH) refuse(`must be at most ${MAX_ID_LENGTH} characters, has ${id.length}`);
  if (!/^[A-Za-z0-9_+.-]+$/.test(id)) refuse("must consist of letters, digits and _ + - .");
  if (id === "." || id === "..") refuse("must not be . or ..");
}
