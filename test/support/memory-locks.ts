/** Locks in memory for one run that is alone: a lock that is held already is an error of the run, not a wait. */
import type {
  Claim,
  Grant,
  Inherited,
  LockDriver,
  LockMode,
  LockTable,
  Place,
  Resource,
} from "../../src/store/contract.ts";
import { resourceKey } from "../../src/store/contract.ts";

export class MemoryLocks implements LockDriver {
  /** What is held now, by the key of the resource. */
  readonly held = new Map<string, LockMode>();
  /** Is told of each lock the moment that it is given back. */
  onRelease: (key: string, mode: LockMode) => void = () => undefined;

  async join(resource: Resource, mode: LockMode, claim: Claim): Promise<Place> {
    return {
      attempt: async () => {
        const key = resourceKey(resource);
        if (this.held.has(key)) throw new Error(`the run holds ${key} already`);
        this.held.set(key, mode);
        return { outcome: "granted", grant: this.#grant(resource, mode, claim) };
      },
      changed: async () => undefined,
      leave: async () => undefined,
    };
  }

  #grant(resource: Resource, mode: LockMode, { nonce, owner }: Claim): Grant {
    const key = resourceKey(resource);
    let isOver = false;
    return {
      ...{ resource, mode, nonce, token: 1 },
      holding: { resource, mode, nonce, token: 1, pid: process.pid, owner },
      check: async () => (isOver ? "lost" : "held"),
      refresh: async () => undefined,
      release: async () => {
        if (isOver) return;
        isOver = true;
        this.held.delete(key);
        this.onRelease(key, mode);
      },
    };
  }

  async inspect(): Promise<LockTable> {
    return { held: [], waiting: [] };
  }

  async inherit(): Promise<Inherited> {
    return { holdings: [], unshared: [] };
  }

  async revoke(): Promise<boolean> {
    return false;
  }
}
