import { type Html, html } from "./html.ts";

/** What may be wider than a phone scrolls by itself, by keyboard too. */
export const scrolling = (label: string, content: Html): Html => html`<div class="scroll" role="region" tabindex="0" aria-label="${label}">${content}</div>`;
