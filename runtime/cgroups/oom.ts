/** Placeholder shape; see below. */
export interface OomSource {
  readonly kind: "v1" | "v2";
}
export function oomSource(_paths: Readonly<Record<string, string>>): OomSource | undefined {
  return undefined;
}
