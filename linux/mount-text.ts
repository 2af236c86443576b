/** A field of the kernel's tables of mounts, in which blanks, tabs, newlines and backslashes are octal. Source: proc_pid_mountinfo(5), getmntent(3). */
export const unescapeField = (field: string): string => field.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
