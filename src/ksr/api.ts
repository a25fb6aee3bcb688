import type { K8sKind } from "../models/k8s/keys.ts";

/**
 * An object as the store is to have it. `value` is what the kind's codec encodes, one character a byte (latin1): V8 keeps
 * such text in as many bytes, without the 200 and more that an array of bytes costs beside its content.
 */
export interface Wish {
  readonly kind: K8sKind;
  readonly key: string;
  readonly value: string;
}

/** What the objects of a source are put into. No call waits: what is wished for is kept until the store has it. */
export interface Sink {
  /** Begins a complete listing of a kind. */
  list(kind: K8sKind): Listing;
  put(wish: Wish): void;
  /** Of a kind without that key: nothing happens. */
  remove(kind: K8sKind, key: string): void;
  /** What is wrong with an object, or undefined when it is well (again). `subject` is what people know it by. */
  problem(kind: K8sKind, subject: string, problem: string | undefined): void;
}

/** All objects of one kind, in any order. A listing that is not ended changes nothing but what was put. */
export interface Listing {
  put(wish: Wish): void;
  /**
   * Every object has been put. What was not put is gone, also from the store, unless the listing is known to have gaps:
   * then what the store has beyond it stays.
   */
  done(gaps?: { readonly gaps: boolean }): void;
}

/** Where objects come from: a Kubernetes API server, or a directory of manifests. */
export interface Source {
  /** What it reads, for people. */
  readonly name: string;
  /** Reads and follows until the signal aborts; then it resolves. To be called once. Failures are retried within. */
  run(sink: Sink, signal: AbortSignal): Promise<void>;
  /** What is wrong, for people; empty when all is well. */
  problems(): readonly string[];
}
