/**
 * The workflows of a repository: `workflows/workflow-*.yaml`, and read-only ones anywhere under the folder of extensions. A workflow of the repository
 * hides an extension of its name. A file that can't be read is a problem that is told; it doesn't hide the others.
 */
import { existsSync, realpathSync } from "node:fs";
import { dirname, join, sep } from "node:path";
import { FenError, storeError } from "../kernel/errors.ts";
import { removeFile, writeFileAtomic } from "../kernel/files.ts";
import { compareCodePoints } from "../kernel/order.ts";
import { nearest } from "../kernel/suggest.ts";
import { invalidFile, locateFindings, type Problem, problemOf } from "../repo/findings.ts";
import {
  type ClaimFile,
  claimPath,
  entriesOf,
  escapeWord,
  findNamed,
  type Found,
  mentions,
  readDefinitionText,
  readSmall,
  yamlFilesUnder,
} from "../repo/named-files.ts";
import type { Repository } from "../repo/repository.ts";
import { parseYaml } from "../repo/yaml.ts";
import { checkWorkflow } from "./check.ts";
import type { WorkflowDefinition } from "./definition.ts";
import { checkGraph, namesOther } from "./graph.ts";

export interface LoadedWorkflow {
  readonly workflow: WorkflowDefinition;
  /** Absolute path. */
  readonly file: string;
  readonly text: string;
  readonly warnings: readonly Problem[];
  /** Belongs to an extension: it can be run, but not changed. */
  readonly isExtension: boolean;
  /** The file in the repository, where this is what became of it when it was evaluated. */
  readonly evaluatedFrom?: string;
}

const hint = "Mend the file, then check it with: fen workflow validate";
const listHint = "List the workflows: fen workflow search";

export class Workflows {
  readonly #repository: Repository;

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  /** By name, then by id. Throws `workflow_missing` with the nearest name, `workflow_ambiguous`, or what is wrong with the file. */
  async find(nameOrId: string): Promise<LoadedWorkflow> {
    const own = await this.#lookUp(nameOrId, this.#ownFiles());
    const fromOwn = only(nameOrId, own.byName);
    if (fromOwn !== undefined) return fromOwn;
    if (own.broken[0] !== undefined) throw own.broken[0];
    const others = await this.#lookUp(nameOrId, this.#extensionFiles());
    const found = only(nameOrId, others.byName) ?? only(nameOrId, own.byId, "id") ?? only(nameOrId, others.byId, "id");
    if (found !== undefined) return found;
    if (others.broken[0] !== undefined) throw others.broken[0];
    throw await this.#missing(nameOrId);
  }

  /** The workflow of that name that extensions have, hidden or not. */
  async extension(name: string): Promise<LoadedWorkflow | undefined> {
    return (await this.#lookUp(name, this.#extensionFiles())).byName[0];
  }

  /** All workflows by name, without those that are hidden, and what is wrong with the other files. */
  async list(): Promise<{ readonly workflows: readonly LoadedWorkflow[]; readonly problems: readonly Problem[] }> {
    const problems: Problem[] = [];
    const load = async (files: readonly string[]): Promise<LoadedWorkflow[]> => {
      const loaded: LoadedWorkflow[] = [];
      for (const file of files) {
        try {
          loaded.push(await this.load(file));
        } catch (error) {
          problems.push(problemOf(error, file));
        }
      }
      return loaded;
    };
    const own = await load(this.#ownFiles());
    const names = new Set(own.map(({ workflow }) => workflow.name));
    const extensions = (await load(this.#extensionFiles())).filter(({ workflow }) => !names.has(workflow.name));
    const workflows = [...own, ...extensions].sort((a, b) => compareCodePoints(a.workflow.name, b.workflow.name));
    return { workflows, problems };
  }

  /** Throws `workflow_missing`, `yaml_invalid`, `workflow_invalid`, `file_too_large`. */
  async load(file: string): Promise<LoadedWorkflow> {
    const text = await readDefinitionText(file);
    if (text === undefined)
      throw new FenError("workflow_missing", `The workflow is gone: ${file}`, { hint: listHint, facts: { file } });
    return this.parse(text, file);
  }

  /** Checks a text as if it were in `file`. Throws `yaml_invalid`, `workflow_invalid`. */
  async parse(text: string, file: string): Promise<LoadedWorkflow> {
    const { workflow, findings } = checkWorkflow(parseYaml(text, file));
    const problems = await locateFindings(text, file, findings);
    if (workflow === undefined) throw invalidFile(text, file, { problems, code: "workflow_invalid", hint });
    return { workflow, file, text, warnings: problems, isExtension: this.#isExtension(file) };
  }

  /** The file that a new workflow of this id is written to. */
  pathOf(id: string): string {
    return join(this.#repository.layout.workflowsDir, `workflow-${id}.yaml`);
  }

  /**
   * Writes a new workflow. Of several processes that create one name at once, one succeeds: each claims the name first.
   * Throws `workflow_exists`, or what is wrong with the text.
   */
  async create(
    text: string,
    claim: ClaimFile,
    { id, name }: { readonly id: string; readonly name: string },
  ): Promise<LoadedWorkflow> {
    const file = this.pathOf(id);
    const made = await this.parse(text, file);
    const held = await claim(this.claimPath(name));
    try {
      await this.refuseTaken(name, file);
      await writeFileAtomic(file, text);
      return made;
    } finally {
      held.release();
    }
  }

  /** Throws `workflow_exists` where another file of the repository has the name. Extensions don't count: they are hidden. */
  async refuseTaken(name: string, file: string): Promise<void> {
    const { byName } = await this.#lookUp(name, this.#ownFiles());
    const other = byName.find((one) => one.file !== file);
    if (other !== undefined)
      throw new FenError("workflow_exists", `A workflow called ${name} exists already: ${other.file}`, {
        hint: `Look at it: fen workflow get ${name}`,
        facts: { workflow: name, file: other.file },
      });
  }

  /** The file whose lock is the claim on a name: whoever makes or renames a workflow to it holds it meanwhile. */
  claimPath(name: string): string {
    return claimPath(this.#repository.layout, `workflow/${name}`);
  }

  /** Replaces the text of a workflow at once. */
  async replace(file: string, text: string): Promise<void> {
    await writeFileAtomic(realpathSync(file), text);
  }

  isThere(file: string): boolean {
    return existsSync(file);
  }

  remove(file: string): boolean {
    try {
      return removeFile(file);
    } catch (error) {
      throw storeError(error, "the workflow", file);
    }
  }

  /** Files of workflows that name a model or a workflow. Of those that can't be read, their text decides. */
  async naming(kind: "model" | "workflow", other: { readonly name: string; readonly id: string }): Promise<string[]> {
    const files = [...this.#ownFiles(), ...this.#extensionFiles()];
    const naming: string[] = [];
    for (const file of files) if (await this.#names(file, kind, other)) naming.push(file);
    return naming;
  }

  async #names(
    file: string,
    kind: "model" | "workflow",
    other: { readonly name: string; readonly id: string },
  ): Promise<boolean> {
    const words = [other.name, other.id];
    if (!words.some((word) => mentions(file, word))) return false;
    try {
      return namesOther((await this.load(file)).workflow, kind, other);
    } catch (error) {
      if (!(error instanceof FenError)) throw error;
      const named = words.map(escapeWord).join("|");
      return new RegExp(`${kind}IdOrName:\\s*["']?(${named})["']?\\s*([,}\\s]|$)`, "m").test(readSmall(file));
    }
  }

  #lookUp(nameOrId: string, files: readonly string[]): Promise<Found<LoadedWorkflow>> {
    return findNamed(nameOrId, files, { load: (file) => this.load(file), identify: ({ workflow }) => workflow });
  }

  #ownFiles(): string[] {
    const { workflowsDir } = this.#repository.layout;
    return entriesOf(workflowsDir)
      .filter((entry) => !entry.isDirectory() && !entry.isSymbolicLink() && /^workflow-.*\.yaml$/.test(entry.name))
      .map(({ name }) => join(workflowsDir, name));
  }

  #extensionFiles(): string[] {
    return yamlFilesUnder(this.#repository.workflowExtensionsDir, this.#repository.layout.root);
  }

  #isExtension(file: string): boolean {
    const { workflowExtensionsDir, layout } = this.#repository;
    return file.startsWith(`${workflowExtensionsDir}${sep}`) && dirname(file) !== layout.workflowsDir;
  }

  async #missing(nameOrId: string): Promise<FenError> {
    const { workflows, problems } = await this.list();
    const near = nearest(
      nameOrId,
      workflows.map(({ workflow }) => workflow.name),
    );
    const unreadable =
      problems.length === 0 ? "" : ` ${problems.length} file(s) can't be read; see: fen workflow validate`;
    return new FenError("workflow_missing", `No workflow is called ${nameOrId}.`, {
      hint: `${near === undefined ? "" : `Did you mean ${near}? `}${listHint}.${unreadable}`,
      facts: { workflow: nameOrId },
    });
  }
}

/** Throws where a workflow can't be run as it stands: `workflow_invalid` for its graph, `not_yet` for a driver. */
export async function refuseUnrunnable({ workflow, file, text }: LoadedWorkflow): Promise<void> {
  // A condition that never holds is told by the checks; the run skips what it keeps from starting, and says so.
  const findings = checkGraph(workflow)
    .filter(({ check }) => check !== "Conditions")
    .map((finding) => ({ ...finding, severity: "error" as const }));
  if (findings.length > 0)
    throw invalidFile(text, file, {
      problems: await locateFindings(text, file, findings),
      code: "workflow_invalid",
      hint,
    });
  const parts = [workflow, ...workflow.jobs, ...workflow.jobs.flatMap((job) => job.steps)];
  const driver = parts.map((part) => part.driver).find((one) => one !== undefined && one !== "raw");
  if (driver !== undefined)
    throw new FenError(
      "not_yet",
      `${workflow.name} asks for the driver ${driver}, which this version doesn't have: ${file}`,
      {
        hint: "Take driver out of the workflow to run its steps on this machine.",
        facts: { workflow: workflow.name, driver },
      },
    );
}

/** The one that is found, or none. Throws `workflow_ambiguous`. */
function only(
  nameOrId: string,
  found: readonly LoadedWorkflow[],
  by: "name" | "id" = "name",
): LoadedWorkflow | undefined {
  const [first, second] = found;
  if (first === undefined || second === undefined) return first;
  const files = [first.file, second.file];
  throw new FenError(
    "workflow_ambiguous",
    `Two workflows ${by === "name" ? "are called" : "have the id"} ${nameOrId}:\n  ${files.join("\n  ")}`,
    {
      hint:
        by === "name" ? "Rename one of them, or name the workflow by its id." : "Give one of them a new id (uuidgen).",
      facts: { workflow: nameOrId, files },
    },
  );
}
