import { fullMessage } from "../base/errors/errors.ts";
import type { EventOutcome } from "../controller/api.ts";
import type { Key } from "../kvscheduler/api/descriptor.ts";
import type { PodRow } from "./api.ts";
import { CniError } from "./cni/errors.ts";
import { type CniJob, canceled } from "./jobs.ts";
import type { Sandbox } from "./sandbox.ts";

/** A sandbox that goes, and the items that go with it. */
export interface Removal {
  readonly sandbox: Sandbox;
  readonly keys: ReadonlySet<Key>;
}

export interface AddPlan {
  readonly kind: "add";
  readonly job: CniJob;
  readonly sandbox: Sandbox;
  readonly keys: ReadonlySet<Key>;
}

export interface FailedAdd {
  readonly plan: AddPlan;
  readonly error: Error;
}

/** What one job of a batch wants, between `update` and `finish`. */
export type Plan =
  | AddPlan
  | { readonly kind: "again"; readonly job: CniJob; readonly sandbox: Sandbox }
  | { readonly kind: "del"; readonly job: CniJob; readonly gone: readonly Removal[] }
  | { readonly kind: "check"; readonly job: CniJob; readonly sandbox: Sandbox };

/** Why an ADD is not in force after its transaction; undefined when it is. */
export function addError(plan: AddPlan, { txn, rememberError }: EventOutcome): Error | undefined {
  if (rememberError) {
    return new CniError("IO_FAILURE", "the node's database refused the sandbox", fullMessage(rememberError));
  }
  for (const key of plan.keys) {
    const error = txn?.errors.get(key);
    if (error) return wiringError(plan.sandbox.row, error);
  }
  const pending = txn?.pending.find((key) => plan.keys.has(key));
  if (pending) return wiringError(plan.sandbox.row, new Error(`${pending} waits for something that is not there`));
  return plan.job.signal.aborted ? canceled(plan.job) : undefined;
}

/** Of errors that say that the dataplane is away. It comes back, and with it what the pod needs. */
const AWAY = "NOT_CONNECTED";

function wiringError(row: PodRow, cause: Error): CniError {
  const { code } = cause as { readonly code?: unknown };
  if (code === AWAY) {
    return new CniError("TRY_AGAIN_LATER", `cannot wire ${row.id} now`, fullMessage(cause), { cause });
  }
  if (code === "EEXIST") {
    return new CniError("INTERFACE_EXISTS", `an interface ${row.ifName} exists in ${row.netns}`, fullMessage(cause), {
      cause,
    });
  }
  return new CniError("IO_FAILURE", `cannot wire ${row.id}`, fullMessage(cause), { cause });
}
