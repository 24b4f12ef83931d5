import { FenError } from "../../kernel/errors.ts";
import { programName } from "../called.ts";
import type { Handler } from "../command.ts";

// Each script asks the program that stands on the command line for the words that may come next: one a line, with a tab and a description.
// A line ":files" or ":folders" leaves it to the shell.

const bash = (
  name: string,
  id: string,
) => `# ${name} completion for bash. In ~/.bashrc: source <(${name} completions bash)
_${id}() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :files*) compopt -o default 2>/dev/null ;;
      :folders*) compopt -o dirnames 2>/dev/null ;;
      *) COMPREPLY+=("\${line%%$'\\t'*}") ;;
    esac
  done < <("\${1/#\\~/$HOME}" __complete --shell bash -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _${id} ${name}
`;

const zsh = (name: string, id: string) => `#compdef ${name}
# ${name} completion for zsh. In ~/.zshrc: source <(${name} completions zsh)
_${id}() {
  local line word
  local -a items
  while IFS= read -r line; do
    case $line in
      :files*) _files; return ;;
      :folders*) _files -/; return ;;
    esac
    word=\${line%%$'\\t'*}
    items+=("\${word//:/\\\\:}:\${line#*$'\\t'}")
  done < <(\${~words[1]} __complete --shell zsh -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)
  _describe '${name}' items
}
if [ "\${funcstack[1]}" = "_${id}" ]; then
  _${id} "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
  compdef _${id} ${name}
fi
`;

const fish = (
  name: string,
  id: string,
) => `# ${name} completion for fish. In ~/.config/fish/config.fish: ${name} completions fish | source
function __${id}_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($words[1] __complete --shell fish -- $words[2..-1] "$current" 2>/dev/null)
    switch "$lines[1]"
        case ':files*'
            __fish_complete_path "$current"
        case ':folders*'
            __fish_complete_directories "$current"
        case '*'
            printf '%s\\n' $lines
    end
end
complete -c ${name} -f -a '(__${id}_complete)'
`;

const scripts: Readonly<Record<string, (name: string, id: string) => string>> = { bash, zsh, fish };

export const handler: Handler = async ({ args, flags }) => {
  const [shell = ""] = args;
  const write = Object.hasOwn(scripts, shell) ? scripts[shell] : undefined;
  if (write === undefined)
    throw new FenError("usage", `There are completions for bash, zsh and fish, not for ${shell}.`, {
      hint: "For example: source <(fen completions bash)",
    });
  const name = flags.text("name") ?? programName(process.argv[1] ?? "fen");
  if (!/^[\w.-]+$/.test(name)) throw new FenError("usage", `A program can't be called ${JSON.stringify(name)}.`);
  const script = write(name, name.replaceAll(/\W/g, "_"));
  return { document: { shell, script }, text: () => script, verbatim: true };
};
