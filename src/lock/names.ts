/** Names of resources, as users of the library write them: `printer`, `host/web-01`, and `*` for everything. */
import { FenError } from "../kernel/errors.ts";
import type { Resource } from "../store/contract.ts";

const all = "*";
/** The type of a name that has one segment; as a first segment of a longer name it is refused, so that no two names mean one resource. */
const plain = "_";

/** Throws `name_invalid` for a name that could not be a path below the folder. */
export function resourceOf(name: string): Resource {
  if (name === all) return { kind: "datastore" };
  const segments = name.split("/");
  if (segments[0] === plain || !segments.every(isSafe))
    throw new FenError("name_invalid", `${JSON.stringify(name)} can't be the name of a lock.`, {
      hint: 'Use segments of letters, digits and signs, with "/" between them, such as "host/web-01"; none may begin with a dot, and the first may not be "_".',
      facts: { name },
    });
  const id = segments.pop() ?? "";
  return { kind: "model", type: segments.length === 0 ? plain : segments.join("/"), id };
}

/** The name that `resourceOf` understands as this resource. */
export function nameOf(resource: Resource): string {
  if (resource.kind === "datastore") return all;
  return resource.type === plain ? resource.id : `${resource.type}/${resource.id}`;
}

function isSafe(segment: string): boolean {
  // oxlint-disable-next-line no-control-regex -- control characters are what must not be in a name
  return segment !== "" && !segment.startsWith(".") && !/[\u0000-\u001f\u007f\\*]/.test(segment);
}
