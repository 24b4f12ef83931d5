/** Words as a Bourne shell has them on its command line: their quotes taken off, and put on again. */

/** The text of a word that may be quoted, and whose last quote may still be open. */
export function unquote(word: string): string {
  let text = "";
  let quote = "";
  for (let at = 0; at < word.length; at++) {
    const char = word[at] ?? "";
    if (quote === "'") {
      if (char === "'") quote = "";
      else text += char;
    } else if (char === "\\") {
      const next = word[at + 1] ?? "";
      // Inside of double quotes a backslash means something only before these.
      text += quote === '"' && !/["\\$`]/.test(next) ? `\\${next}` : next;
      at++;
    } else if (char === quote) quote = "";
    else if (quote === "" && (char === "'" || char === '"')) quote = char;
    else text += char;
  }
  return text;
}

/** `text` as it has to stand on the command line, inside of the quote with which the typed word begins. */
export function requote(text: string, typed: string): string {
  if (typed.startsWith("'")) return text.replaceAll("'", String.raw`'\''`);
  if (typed.startsWith('"')) return text.replaceAll(/["\\$`]/g, String.raw`\$&`);
  return text.replaceAll(/[^\w@%+=:,./-]/gu, String.raw`\$&`);
}
