/** `${{ expression }}` in text: where each one is. Only this form is ours; `${VAR}` and `{{ }}` are plain text. */
import { FenError } from "../kernel/errors.ts";

export type Part =
  | { readonly kind: "text"; readonly text: string }
  /** `at`: where the source begins in the text. */
  | { readonly kind: "expression"; readonly source: string; readonly at: number };

/** `offset`: where it begins in the text. */
export class UnclosedExpression extends FenError {
  readonly offset: number;

  constructor(text: string, offset: number) {
    super("expression_invalid", `An expression is not closed with }}: ${text.slice(offset, offset + 80)}`, {
      hint: "Close it with }}.",
    });
    this.offset = offset;
  }
}

export function hasExpression(text: string): boolean {
  return text.includes("${{");
}

/** Cuts a string into text and expressions. `}}` inside a quoted string of the expression doesn't end it. */
export function parseTemplate(text: string): Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (let start = text.indexOf("${{"); start >= 0; start = text.indexOf("${{", at)) {
    if (start > at) parts.push({ kind: "text", text: text.slice(at, start) });
    const end = endOf(text, start + 3);
    if (end === undefined) throw new UnclosedExpression(text, start);
    const inside = text.slice(start + 3, end);
    const begin = start + 3 + inside.length - inside.trimStart().length;
    parts.push({ kind: "expression", source: inside.trim(), at: begin });
    at = end + 2;
  }
  if (at < text.length) parts.push({ kind: "text", text: text.slice(at) });
  return parts;
}

function endOf(text: string, from: number): number | undefined {
  let quote = "";
  let braces = 0;
  for (let i = from; i < text.length; i++) {
    const char = text[i] ?? "";
    if (quote !== "") {
      if (char === "\\") i++;
      else if (char === quote) quote = "";
    } else if (char === '"' || char === "'") quote = char;
    else if (char === "{") braces++;
    else if (char === "}" && braces > 0) braces--;
    else if (char === "}" && text[i + 1] === "}") return i;
  }
  return undefined;
}
