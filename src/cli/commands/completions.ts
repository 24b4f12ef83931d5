import { FenError } from "../../kernel/errors.ts";
import type { Handler } from "../command.ts";

// Each script asks `fen __complete` with the words so far; it answers one word a line, with a tab and a description.
const scripts: Readonly<Record<string, string>> = {
  bash: `# fen completion for bash: source <(fen completions bash)
_fen() {
  local IFS=$'\\n'
  local current="\${COMP_WORDS[COMP_CWORD]}"
  COMPREPLY=($(compgen -W "$(fen __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1)" -- "$current"))
}
complete -F _fen fen
`,
  zsh: `#compdef fen
# fen completion for zsh: source <(fen completions zsh)
_fen() {
  local -a candidates
  local line
  while IFS= read -r line; do
    candidates+=("\${line//$'\\t'/:}")
  done < <(fen __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  _describe 'fen' candidates
}
if [ "\${funcstack[1]}" = "_fen" ]; then _fen "$@"; elif (( $+functions[compdef] )); then compdef _fen fen; fi
`,
  fish: `# fen completion for fish: fen completions fish | source
complete -c fen -f -a '(fen __complete -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
`,
};

export const handler: Handler = async ({ args }) => {
  const [shell = ""] = args;
  const script = Object.hasOwn(scripts, shell) ? scripts[shell] : undefined;
  if (script === undefined)
    throw new FenError("usage", `There are completions for bash, zsh and fish, not for ${shell}.`, {
      hint: "For example: source <(fen completions bash)",
    });
  return { document: { shell, script }, text: () => script };
};
