/** What must be true of a job or step that has ended, so that another may start. */
import type { Condition } from "./definition.ts";
import type { EndStatus } from "./entries.ts";

/** A condition with what it is tested against; a name that is unknown has no status. */
export interface Judged {
  readonly name: string;
  readonly condition: Condition;
  readonly status: string | undefined;
}

export function holds(condition: Condition, status: EndStatus): boolean {
  switch (condition.type) {
    case "always":
      return true;
    case "completed":
      return status === "succeeded" || status === "failed";
    case "and":
      return condition.conditions.every((one) => holds(one, status));
    case "or":
      return condition.conditions.some((one) => holds(one, status));
    case "not":
      return !holds(condition.condition, status);
    default:
      return condition.type === status;
  }
}
