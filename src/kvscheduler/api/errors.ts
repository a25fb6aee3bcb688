import { HeddleError } from "../../base/errors/errors.ts";
import type { Key } from "./descriptor.ts";

/** Thrown by {@link Descriptor.validate}. `fields` are paths inside the value. Never retried; correct the value. */
export class InvalidValueError extends HeddleError<"INVALID_VALUE"> {
  readonly fields: readonly string[];

  constructor(message: string, fields: readonly string[] = [], options?: ErrorOptions) {
    super("INVALID_VALUE", message, options);
    this.fields = fields;
  }
}

/** A descriptor that cannot be registered: its name or key space collides with another's, or it is incomplete. */
export class DescriptorError extends HeddleError<"BAD_DESCRIPTOR"> {
  constructor(message: string) {
    super("BAD_DESCRIPTOR", message);
  }
}

/** A transaction that cannot be run as asked; nothing was done. */
export class BadTransactionError extends HeddleError<"BAD_TRANSACTION"> {
  constructor(message: string) {
    super("BAD_TRANSACTION", message);
  }
}

/** The keys that failed in a transaction. Each key's own error is in `errors`. */
export class TransactionError extends HeddleError<"TRANSACTION_FAILED"> {
  readonly seq: number;
  readonly errors: ReadonlyMap<Key, Error>;

  constructor(seq: number, errors: ReadonlyMap<Key, Error>) {
    const shown = [...errors].slice(0, 3).map(([key, e]) => `${key}: ${e.message}`);
    const more = errors.size > 3 ? `; and ${errors.size - 3} more` : "";
    super("TRANSACTION_FAILED", `transaction ${seq}: ${errors.size} key(s) failed: ${shown.join("; ")}${more}`);
    this.seq = seq;
    this.errors = errors;
  }
}

/**
 * A descriptor that did not end several operations in a row by their deadlines is left alone for a while; this operation
 * was not sent to it. The key is tried again as soon as the descriptor answers, or after a pause. See to the southbound.
 */
export class SuspendedError extends HeddleError<"SUSPENDED"> {
  readonly descriptor: string;

  constructor(descriptor: string, after: number) {
    super("SUSPENDED", `descriptor ${descriptor} is suspended after ${after} calls in a row outlived their deadlines`);
    this.descriptor = descriptor;
  }
}

/**
 * An earlier operation on this key has outlived its deadline and still runs; two at once could end in any order. The key
 * is tried again when the earlier one has ended.
 */
export class LateError extends HeddleError<"LATE"> {
  constructor(key: Key) {
    super("LATE", `an earlier operation on ${key} has outlived its deadline and still runs`);
  }
}

/** Whether the operation was not sent, and will be as soon as what it waits for is over, whatever the retry options. */
export function isHeld(error: Error): boolean {
  return error instanceof SuspendedError || error instanceof LateError;
}

/** A descriptor said that an operation succeeded, and the southbound shows something else. See to the descriptor. */
export class VerificationError extends HeddleError<"EXPECTED_TO_EXIST" | "EXPECTED_TO_NOT_EXIST" | "NOT_EQUIVALENT"> {
  readonly key: Key;

  constructor(code: VerificationError["code"], key: Key) {
    const what = {
      EXPECTED_TO_EXIST: "was reported as done, and is not there",
      EXPECTED_TO_NOT_EXIST: "was reported as removed, and is still there",
      NOT_EQUIVALENT: "was reported as done, and is there with another value",
    };
    super(code, `${key} ${what[code]}`);
    this.key = key;
  }
}

/** A descriptor broke its contract: it changed a value that it was given, or answered with what is no answer. */
export class MisbehaviourError extends HeddleError<"MISBEHAVIOUR"> {
  constructor(descriptor: string, why: string) {
    super("MISBEHAVIOUR", `descriptor ${descriptor} ${why}`);
  }
}

/** A value that had to stay because another one, which depends on it, could not be removed. See to that one first. */
export class BlockedError extends HeddleError<"BLOCKED"> {
  /** The one that could not be removed. */
  readonly by: Key;

  constructor(key: Key, by: Key, options?: ErrorOptions) {
    super(
      "BLOCKED",
      `${key} cannot be removed or made again before ${by}, which depends on it and could not be removed`,
      options,
    );
    this.by = by;
  }
}
