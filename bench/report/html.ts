/** HTML in template literals. What is put in is escaped unless it is HTML itself: a result has names and messages that others wrote. */

export class Html {
  readonly text: string;
  /** @param text trusted: it is written as it is. */
  constructor(text: string) {
    this.text = text;
  }
}

/** Nothing is written for undefined and false. */
type Value = string | number | Html | undefined | false | readonly Value[];

const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/** For text and for attributes in quotes. */
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? "");

export const html = (strings: TemplateStringsArray, ...values: readonly Value[]): Html =>
  new Html(strings.map((string, index) => string + written(values[index])).join(""));

function written(value: Value): string {
  if (value === undefined || value === false) return "";
  if (value instanceof Html) return value.text;
  return typeof value === "string" || typeof value === "number" ? escapeHtml(String(value)) : value.map(written).join("");
}
