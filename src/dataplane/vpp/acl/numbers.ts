/** Names of lists and VPP's numbers for them, both ways: bindings are read back as numbers. */
export class Numbers {
  readonly #names = new Map<number, string>();
  readonly #numbers = new Map<string, number>();

  /** Forgets all: VPP is read anew, maybe another life of it. */
  clear(): void {
    this.#names.clear();
    this.#numbers.clear();
  }

  set(name: string, number: number): void {
    this.#names.set(number, name);
    this.#numbers.set(name, number);
  }

  delete(name: string): void {
    const number = this.#numbers.get(name);
    if (number !== undefined) this.#names.delete(number);
    this.#numbers.delete(name);
  }

  /** Throws for a name that a dependency should have vouched for. */
  of(name: string): number {
    const number = this.#numbers.get(name);
    if (number === undefined) throw new Error(`VPP has no list ${name}`);
    return number;
  }

  /** What isn't ours gets a name that nothing of ours has, so that a binding to it is seen to be wrong. */
  name(number: number): string {
    return this.#names.get(number) ?? `#${number}`;
  }
}
