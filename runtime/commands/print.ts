import { writeSync } from "node:fs";

const STDOUT = 1;

/** Writes a line to standard output, all of it, before it returns. */
export function print(text: string): void {
  const data = Buffer.from(`${text}\n`);
  for (let written = 0; written < data.length; ) written += writeSync(STDOUT, data, written);
}

/** Columns padded to their widest cell, as engines' users know it. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd((widths[column] ?? 0) + 4)).join("").trimEnd()).join("\n");
}
