import { millis, seconds } from "../../../base/clock/clock.ts";
import { fullMessage } from "../../../base/errors/errors.ts";
import type { Invalid, RetryOptions, TxnResult } from "../../api/scheduler.ts";
import { renderOps, renderTxn } from "../../render.ts";
import { parsePlan } from "../plan.ts";
import { choice, whole } from "../query.ts";
import { answerOf, type DefinedRoute, defineRoute } from "../route.ts";

/** As the original does it: after 1 s, then twice as long each time, three times. */
const RETRY: RetryOptions = { first: seconds(1), max: seconds(60), attempts: 3 };

/** What can be asked for: a repair of the southbound, and the plan of a change. */
export function actionRoutes(): DefinedRoute[] {
  return [
    defineRoute({
      method: "POST",
      path: "/scheduler/downstream-resync",
      help: "read the southbound again and repair what differs; answers when that is done",
      params: {
        retry: choice(["true", "false"], "repeat what fails: after 1 s, doubling, 3 times (false)"),
        attempts: whole(0, 1000, "with retry=true: how often; 0 means without end"),
        first: whole(1, 3_600_000, "with retry=true: milliseconds until the first one"),
      },
      formats: ["json", "text"],
      answer: async ({ scheduler, query, format, signal }) => {
        const retry = retryOf(query);
        const result = await scheduler.transact({
          resync: "downstream",
          description: "asked for by REST",
          signal,
          ...(retry !== undefined && { retry }),
        });
        return answerOf(format, resultOf(result), () => renderTxn(result.record));
      },
    }),
    defineRoute({
      method: "POST",
      path: "/scheduler/plan",
      help: 'what a change would do; nothing changes. Body: {"changes": [[key, value or null], …], "resync", "mode", "source"}',
      params: {},
      formats: ["json", "text"],
      answer: async ({ scheduler, format, body, signal }) => {
        const plan = parsePlan(body);
        const invalid = (await scheduler.validate(plan.changes.filter(([, value]) => value !== undefined))).map(
          plainInvalid,
        );
        const result = await scheduler.transact({
          ...plan,
          dryRun: true,
          description: "plan asked for by REST",
          signal,
        });
        return answerOf(format, { ...resultOf(result), invalid }, ({ failed, pending }) =>
          [
            result.record.planned.length === 0 ? "nothing would be done" : renderOps(result.record.planned),
            ...invalid.map(({ key, error }) => `${key} is invalid: ${error}`),
            ...Object.entries(failed).map(([key, error]) => `${key} would fail: ${error}`),
            ...pending.map((key) => `${key} would wait`),
          ].join("\n"),
        );
      },
    }),
  ];
}

function retryOf(query: {
  readonly retry?: "true" | "false";
  readonly attempts?: number;
  readonly first?: number;
}): RetryOptions | undefined {
  const { retry, attempts, first } = query;
  if (retry === "false" || (retry === undefined && attempts === undefined && first === undefined)) return undefined;
  return {
    ...RETRY,
    ...(attempts !== undefined && { attempts }),
    ...(first !== undefined && { first: millis(first), max: millis(Math.max(first, RETRY.max)) }),
  };
}

function resultOf({ seq, errors, pending, record }: TxnResult) {
  const failed = Object.fromEntries([...errors].map(([key, e]) => [key, fullMessage(e)]));
  return { seq, failed, pending, record };
}

function plainInvalid({ key, base, error, fields }: Invalid) {
  return { key, ...(base !== undefined && { base }), error: fullMessage(error), fields };
}
