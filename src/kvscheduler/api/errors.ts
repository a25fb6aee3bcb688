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
