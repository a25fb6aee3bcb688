// The way in for people and programs.
//
//   PUT, DELETE /config/<key>   one value; its JSON is the body of PUT. With ?dry-run only the plan is told
//   POST        /config         several at once: {"listener/web": {"port": 8080}, "forward/web": null}; null deletes.
//                               With ?atomic all or nothing
//   POST        /resync         compare the proxy with what is wanted, and repair it
//   GET         /status         every value: its state, and why it is not in place
//   GET         /history        every transaction: what was planned, what was done
//   DELETE      /device/<name>  closes a listener of the proxy, and does not tell the scheduler: to see a resync
import type { IncomingMessage, RequestListener } from "node:http";
import { type RetryOptions, renderOps, renderStatus, renderTxn, type Scheduler, seconds } from "heddle/kvscheduler";
import type { Proxy } from "./proxy.ts";

/** What fails is tried again after a second, then after two, four, eight. */
const RETRY: RetryOptions = { first: seconds(1), max: seconds(8), attempts: 0 };

type Answer = readonly [status: number, text: string];

export function rest(scheduler: Scheduler, proxy: Proxy): RequestListener {
  return (request, response) => {
    answer(scheduler, proxy, request)
      .catch((e: unknown): Answer => [400, String(e)])
      .then(([status, text]) => response.writeHead(status, { "content-type": "text/plain" }).end(`${text}\n`))
      .catch((e: unknown) => response.destroy(e as Error));
  };
}

async function answer(scheduler: Scheduler, proxy: Proxy, request: IncomingMessage): Promise<Answer> {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
  const [, first = "", ...others] = pathname.split("/");
  const key = others.join("/");
  switch (`${request.method} /${first}${key && "/…"}`) {
    case "PUT /config/…":
      return apply(scheduler, [[key, await bodyOf(request)]], searchParams);
    case "DELETE /config/…":
      return apply(scheduler, [[key, undefined]], searchParams);
    case "POST /config": {
      const changes = Object.entries((await bodyOf(request)) as Record<string, unknown>);
      return apply(
        scheduler,
        changes.map(([k, value]) => [k, value ?? undefined]),
        searchParams,
      );
    }
    case "POST /resync": {
      const { record } = await scheduler.transact({ resync: "downstream", description: "asked for by REST" });
      return [200, renderOps(record.executed) || "nothing to do"];
    }
    case "GET /status":
      return [200, scheduler.statuses().map(renderStatus).join("\n")];
    case "GET /history":
      return [200, scheduler.history().map(renderTxn).join("\n")];
    case "DELETE /device/…":
      await proxy.close(key);
      return [200, `listener ${key} is closed; the scheduler does not know`];
    default:
      return [404, "no such thing"];
  }
}

async function apply(
  scheduler: Scheduler,
  changes: readonly (readonly [string, unknown])[],
  options: URLSearchParams,
): Promise<Answer> {
  const dryRun = options.has("dry-run");
  const { record, errors } = await scheduler.transact({
    changes,
    dryRun,
    retry: RETRY,
    mode: options.has("atomic") ? "atomic" : "best-effort",
  });
  const lines = [...errors].map(([key, error]) => `${key}: ${error.message}`);
  const ops = renderOps(dryRun ? record.planned : record.executed);
  return [errors.size > 0 ? 409 : 200, [ops || "nothing to do", ...lines].join("\n")];
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) text += chunk as string;
  return JSON.parse(text) as unknown;
}
