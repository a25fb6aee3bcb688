import { toError } from "../../../../base/errors/errors.ts";
import type { MessageValue } from "../codec/codecs.ts";

export interface Want {
  readonly request: string;
  readonly input: MessageValue;
  readonly events: readonly string[];
  readonly handler: (event: MessageValue) => void;
}

/** Who wants which events. Outlives connections. */
export class Subscriptions {
  readonly #wants = new Set<Want>();
  readonly #onError: (error: Error, what: string) => void;

  constructor(onError: (error: Error, what: string) => void) {
    this.#onError = onError;
  }

  add(want: Want): void {
    this.#wants.add(want);
  }

  delete(want: Want): void {
    this.#wants.delete(want);
  }

  /** Whether another subscription rests on the same request, so that it must not be switched off. */
  shares(want: Want): boolean {
    for (const other of this.#wants) if (other !== want && other.request === want.request) return true;
    return false;
  }

  /** A handler that throws is reported and harms nobody else. */
  deliver(name: string, value: MessageValue): void {
    for (const want of this.#wants) {
      if (!want.events.includes(name)) continue;
      try {
        want.handler(value);
      } catch (e) {
        this.#onError(toError(e), `the handler of ${name}`);
      }
    }
  }

  /** Asks a new connection for everything that the last one was asked for. */
  async renew(ask: (request: string, input: MessageValue) => Promise<unknown>): Promise<void> {
    const asked = [...this.#wants].map(async (want) => {
      try {
        await ask(want.request, want.input);
      } catch (e) {
        this.#onError(toError(e), `the subscription ${want.request}`);
      }
    });
    await Promise.all(asked);
  }
}
