/** The text of an expression on its way into the library: names with hyphens, bare words in `vault.get`, texts over several lines. */

export interface Source {
  /** As it is written. */
  readonly written: string;
  /** As it is parsed. */
  readonly parsed: string;
  /** From a place in what is parsed to the place in what is written. */
  placeOf(position: number): number;
}

const token =
  /r?("""[^]*?"""|'''[^]*?'''|"(?:\\[^]|[^"\\])*"|'(?:\\[^]|[^'\\])*')|\/\/[^\n]*|(?<![\w.])model\.([\w-]+)(?=\s*\.\s*(?:input|definition|resource|file|execution)\b)|(?<![\w.])vault\.get\(\s*([^()'",]+?)\s*,\s*([^()'",]+?)\s*\)/g;

export function readSource(written: string): Source {
  const edits: { readonly at: number; readonly before: number; readonly after: number }[] = [];
  let shift = 0;
  const parsed = written.replace(
    token,
    (whole: string, quoted?: string, model?: string, vault?: string, key?: string, at = 0) => {
      const after = replacementOf(whole, { quoted, model, vault, key });
      if (after.length !== whole.length) {
        edits.push({ at: at + shift, before: whole.length, after: after.length });
        shift += after.length - whole.length;
      }
      return after;
    },
  );
  return {
    written,
    parsed,
    placeOf: (position) => {
      let back = 0;
      for (const { at, before, after } of edits) {
        if (position < at) break;
        if (position < at + after) return Math.min(at - back + before - 1, position - back);
        back += after - before;
      }
      return position - back;
    },
  };
}

function replacementOf(
  whole: string,
  found: {
    readonly quoted: string | undefined;
    readonly model: string | undefined;
    readonly vault: string | undefined;
    readonly key: string | undefined;
  },
): string {
  const { quoted, model, vault, key } = found;
  // YAML folds lines: a break in a text was meant as a space.
  if (quoted !== undefined)
    return /^("""|''')/.test(quoted) ? whole : whole.replaceAll(/\r?\n/g, (end) => " ".repeat(end.length));
  if (model !== undefined) return /^[A-Za-z_]\w*$/.test(model) ? whole : `model[${JSON.stringify(model)}]`;
  if (vault === undefined || key === undefined) return whole;
  return `vault.get(${bare(vault)}, ${bare(key)})`;
}

/** A bare word is text; what begins with a variable is an expression. */
function bare(word: string): string {
  return /^(inputs|self|env|model)\b/.test(word) ? word : JSON.stringify(word);
}
