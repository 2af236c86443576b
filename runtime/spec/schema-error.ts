import type * as v from "valibot";

import { member, type Report } from "./report.ts";
import { show, textsProblem } from "./scalars.ts";
import { suggest } from "./suggest.ts";

type Issue = v.BaseIssue<unknown>;

/** Lists longer than this are not printed into an error line. */
const LISTED_NAMES = 10;

/** Turns valibot's first issue into one line. */
export function refuseIssue(issue: Issue, report: Report): never {
  const path = issue.path ?? [];
  const field = path.reduce((base, item) => member(base, item.key as string | number), "");
  const last = path.at(-1);
  const item = textsProblem(issue.input);
  if (item !== undefined) report.refuse(member(field, item.index), item.problem);
  report.refuse(field, last?.origin === "key" ? "is required" : reason(issue));
}

function reason(issue: Issue): string {
  switch (issue.type) {
    case "object":
    case "record":
      return `must be an object, is ${show(issue.input)}`;
    case "array":
      return `must be an array, is ${show(issue.input)}`;
    case "picklist":
      return notListed(issue);
    default:
      // scalars.ts wrote it.
      return issue.message;
  }
}

function notListed(issue: Issue): string {
  const names = [...issue.expected!.matchAll(/"([^"]*)"/g)].map((match) => match[1]!);
  const near = typeof issue.input === "string" ? suggest(issue.input, names) : undefined;
  if (near !== undefined) return `unknown value ${show(issue.input)} (did you mean "${near}"?)`;
  if (names.length > LISTED_NAMES) return `unknown value ${show(issue.input)}`;
  return `must be one of ${names.join(", ")}, is ${show(issue.input)}`;
}
