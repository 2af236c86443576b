/** The candidate that differs from `name` only in case or by one edit (a letter added, lost, changed, or two swapped). */
export function suggest(name: string, candidates: readonly string[]): string | undefined {
  // One edit turns any letter into any other: a hint for "x" would be noise.
  if (name.length < 3) return undefined;
  const lower = name.toLowerCase();
  return candidates.find((candidate) => oneEditApart(lower, candidate.toLowerCase()));
}

function oneEditApart(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  const restA = a.slice(start);
  const restB = b.slice(start);
  if (restA.slice(1) === restB.slice(1)) return true;
  if (restA.slice(1) === restB || restA === restB.slice(1)) return true;
  return restA.slice(2) === restB.slice(2) && restA[0] === restB[1] && restA[1] === restB[0];
}
