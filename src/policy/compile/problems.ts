import type { PolicyProblem, ProblemEffect } from "../api.ts";

/** Collects what is wrong with one policy, by place. */
export class ProblemSink {
  readonly list: PolicyProblem[] = [];
  #effect: ProblemEffect = "part-ignored";

  /** Runs `check` with `effect` as that of the problems that it finds. */
  within<T>(effect: ProblemEffect, check: () => T): T {
    const outer = this.#effect;
    this.#effect = effect;
    try {
      return check();
    } finally {
      this.#effect = outer;
    }
  }

  bad(at: string, message: string): void {
    this.list.push({ at, message, effect: this.#effect });
  }

  /** Odd, but enforced as written. */
  note(at: string, message: string): void {
    this.list.push({ at, message, effect: "none" });
  }

  /** Whether there are none; names them otherwise. */
  unknownMembers({ unknown = [] }: { readonly unknown?: readonly string[] | undefined }, at: string): boolean {
    for (const name of unknown) {
      this.bad(at === "" ? name : `${at}.${name}`, "the member is unknown, or its type is wrong");
    }
    return unknown.length === 0;
  }
}
