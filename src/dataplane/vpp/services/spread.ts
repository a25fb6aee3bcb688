/** Of a group: whether the host has to serve what the outside uses of it, and the pods on this node that this leads to. */
export interface External {
  readonly isForHost: boolean;
  /** By address, protocol and port. */
  readonly endpoints: readonly string[];
}

/**
 * Which groups the host serves to the outside: those for which it must, and all that have an endpoint in common with one that it
 * serves. Answers are told by the port that they come from, and can't be led two ways.
 */
export class HostSpread {
  readonly #groups = new Map<string, External>();
  readonly #byEndpoint = new Map<string, Set<string>>();
  readonly #forced = new Set<string>();

  clear(): void {
    for (const known of [this.#groups, this.#byEndpoint, this.#forced]) known.clear();
  }

  set(group: string, external: External): void {
    for (const endpoint of this.#groups.get(group)?.endpoints ?? []) {
      const users = this.#byEndpoint.get(endpoint);
      users?.delete(group);
      if (users?.size === 0) this.#byEndpoint.delete(endpoint);
    }
    this.#groups.delete(group);
    this.#forced.delete(group);
    if (external.isForHost) this.#forced.add(group);
    if (external.endpoints.length === 0) return;
    this.#groups.set(group, external);
    for (const endpoint of external.endpoints) {
      this.#byEndpoint.set(endpoint, (this.#byEndpoint.get(endpoint) ?? new Set()).add(group));
    }
  }

  hosted(): ReadonlySet<string> {
    const hosted = new Set(this.#forced);
    // What is added meanwhile is visited as well.
    for (const group of hosted) {
      for (const endpoint of this.#groups.get(group)?.endpoints ?? []) {
        for (const other of this.#byEndpoint.get(endpoint) ?? []) hosted.add(other);
      }
    }
    return hosted;
  }
}
