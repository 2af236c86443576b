/** Whether `path` is `directory` or lies below it; both absolute and without `..`. */
export function isWithin(path: string, directory: string): boolean {
  return directory === "/" || path === directory || path.startsWith(`${directory}/`);
}

/** The same, but not itself. */
export const isBelow = (path: string, directory: string): boolean => path !== directory && isWithin(path, directory);

/** The first component: `/usr` of `/usr/lib`. */
export const topOf = (path: string): string => `/${path.split("/")[1] ?? ""}`;

/** Every directory on the way to `path`, itself left out: `/`, `/usr` of `/usr/lib`. */
export function ancestors(path: string): string[] {
  const parts = path.split("/").filter(Boolean);
  return parts.map((_, i) => `/${parts.slice(0, i).join("/")}`);
}
