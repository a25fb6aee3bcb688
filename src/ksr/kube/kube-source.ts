import type { Sink, Source } from "../api.ts";
import { RESOURCES } from "../resources.ts";
import { type FollowerOptions, type FollowerState, ResourceFollower } from "./resource-follower.ts";

export interface KubeSourceOptions extends Omit<FollowerOptions, "random"> {
  /** For people: where the API server is. */
  readonly server: string;
  readonly random?: () => number;
}

/** Kubernetes objects from an API server. Every resource is followed by itself: one that fails holds up no other. */
export class KubeSource implements Source {
  readonly name: string;
  readonly #followers: readonly ResourceFollower[];

  constructor(options: KubeSourceOptions) {
    this.name = `Kubernetes API at ${options.server}`;
    this.#followers = RESOURCES.map((r) => new ResourceFollower(r, { random: Math.random, ...options }));
  }

  problems(): readonly string[] {
    return this.#followers.flatMap(({ resource, problem }) => (problem ? [`${resource.plural}: ${problem}`] : []));
  }

  /** By plural name. */
  states(): Readonly<Record<string, FollowerState>> {
    return Object.fromEntries(this.#followers.map(({ resource, state }) => [resource.plural, state]));
  }

  async run(sink: Sink, signal: AbortSignal): Promise<void> {
    const failed = new AbortController();
    const either = AbortSignal.any([signal, failed.signal]);
    const following = this.#followers.map((f) => f.run(sink, either));
    try {
      await Promise.all(following);
    } finally {
      failed.abort();
      await Promise.allSettled(following);
    }
  }
}
