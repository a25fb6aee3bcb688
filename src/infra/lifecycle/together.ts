import { HeddleError, toError } from "../../base/errors/errors.ts";
import type { Component } from "./component.ts";

/**
 * One component of several that do not need each other: they start, and close, at the same time. If one cannot start,
 * the others are told by their signal and closed. Unhealthy if one of them is.
 */
export function together(name: string, members: readonly Component[]): Component {
  return {
    name,
    ...(members.some((m) => m.patient) && { patient: true }),
    async init(signal) {
      const own = new AbortController();
      const either = AbortSignal.any([signal, own.signal]);
      const up: Component[] = [];
      let failure: Error | undefined;
      const start = async (m: Component): Promise<void> => {
        try {
          either.throwIfAborted();
          await m.init?.(either);
          up.push(m);
        } catch (e) {
          failure ??= new Error(m.name, { cause: e });
          own.abort(new HeddleError("CLOSING", `${m.name} could not be started`));
        }
      };
      await Promise.all(members.map(start));
      if (failure === undefined) return;
      await closeAll(up).catch(() => undefined); // the failure to start counts, whatever comes of closing the others
      throw failure;
    },
    async afterInit(signal) {
      await settled(members, (m) => m.afterInit?.(signal));
    },
    close: () => closeAll(members),
    health() {
      const ill = members.map((m) => [m.name, m.health?.()] as const).filter(([, problem]) => problem !== undefined);
      return ill.length === 0 ? undefined : ill.map(([member, problem]) => `${member}: ${problem}`).join("; ");
    },
  };
}

const closeAll = (members: readonly Component[]): Promise<void> => settled(members, (m) => m.close?.());

/** Does it for all, and throws the errors afterwards. */
async function settled(members: readonly Component[], step: (m: Component) => Promise<void> | void): Promise<void> {
  const results = await Promise.allSettled(
    members.map(async (m) => {
      try {
        await step(m);
      } catch (e) {
        throw new Error(m.name, { cause: e });
      }
    }),
  );
  const errors = results.filter((r) => r.status === "rejected").map((r) => toError(r.reason));
  if (errors.length === 1) throw errors[0]!;
  if (errors.length === 0) return;
  throw new AggregateError(errors, errors.map((e) => `${e.message}: ${toError(e.cause).message}`).join("; "));
}
