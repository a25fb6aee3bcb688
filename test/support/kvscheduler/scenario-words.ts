import { millis } from "../../../src/base/clock/clock.ts";
import type { RetryOptions, Txn } from "../../../src/kvscheduler/api/scheduler.ts";
import type { SchedulerOptions } from "../../../src/kvscheduler/scheduler.ts";
import type { SourceOptions } from "../../../src/kvscheduler/txn/sources.ts";
import type { MockDescriptorOptions } from "./mock-southbound.ts";
import { parseFlags } from "./scenario.ts";

// The words after `scheduler`, `descriptor` and `> txn`.

const SCHEDULER_WORDS = ["verify", "concurrency=", "slow=", "queue=", "history=", "grace="];
const DESCRIPTOR_FLAGS = ["no-update", "no-retrieve", "retrieve-one", "not-exclusive"];
const DESCRIPTOR_WORDS = [...DESCRIPTOR_FLAGS, "group=", "max=", "limit=", "deadline=", "after="];
const TXN_WORDS = ["atomic", "dry", "hanging", "source=", "retry=", "about=", "crash-after="];

export function schedulerOptions(words: readonly string[]): {
  readonly slow: number | undefined;
  readonly options: Partial<SchedulerOptions>;
} {
  const { names, values } = parseFlags(words, SCHEDULER_WORDS);
  const concurrency = numberOf(values.get("concurrency"));
  const queue = numberOf(values.get("queue"));
  const count = numberOf(values.get("history"));
  const grace = values.get("grace");
  return {
    slow: numberOf(values.get("slow")),
    options: {
      ...(concurrency !== undefined && { concurrency, defaults: { concurrency } }),
      ...(queue !== undefined && { queue }),
      ...(count !== undefined && { history: { count } }),
      ...(names.has("verify") && { verify: true }),
      ...(grace !== undefined && { sources: graced(grace) }),
    },
  };
}

export function descriptorOptions(words: readonly string[]): {
  readonly groupName: string | undefined;
  readonly max: number | undefined;
  readonly options: MockDescriptorOptions;
} {
  const { names, values } = parseFlags(words, DESCRIPTOR_WORDS);
  const concurrency = numberOf(values.get("limit"));
  const deadline = numberOf(values.get("deadline"));
  const after = values.get("after");
  return {
    groupName: values.get("group"),
    max: numberOf(values.get("max")),
    options: {
      update: !names.has("no-update"),
      retrieve: !names.has("no-retrieve"),
      retrieveOne: names.has("retrieve-one"),
      exclusive: !names.has("not-exclusive"),
      ...(concurrency !== undefined && { concurrency }),
      ...(deadline !== undefined && { deadline: millis(deadline) }),
      ...(after !== undefined && { retrieveAfter: after.split(",") }),
    },
  };
}

export function txnOptions(words: readonly string[]): {
  /** Whether to go on although it has not ended. */
  readonly hanging: boolean;
  /** Operations after which the process dies. */
  readonly crashAfter: number | undefined;
  readonly options: Txn;
} {
  const { names, values } = parseFlags(words, TXN_WORDS);
  const source = values.get("source");
  const retry = values.get("retry");
  const description = values.get("about");
  return {
    hanging: names.has("hanging"),
    crashAfter: numberOf(values.get("crash-after")),
    options: {
      ...(source !== undefined && { source }),
      ...(names.has("atomic") && { mode: "atomic" as const }),
      ...(names.has("dry") && { dryRun: true }),
      ...(retry !== undefined && { retry: parseRetry(retry) }),
      ...(description !== undefined && { description }),
    },
  };
}

/** `3`: three times, after 1 s, 2 s and 4 s; `3,500`: beginning with 500 ms. */
function parseRetry(word: string): RetryOptions {
  const [attempts, first] = word.split(",").map(Number);
  return { first: millis(first ?? 1000), max: millis(60_000), attempts: attempts! };
}

/** `late:5000,later:9000`: sources that are expected, and how long they are waited for. */
function graced(word: string): Record<string, SourceOptions> {
  const sources: Record<string, SourceOptions> = { high: { precedence: 10 } };
  for (const part of word.split(",")) {
    const [name = "", ms] = part.split(":");
    sources[name] = { ...sources[name], grace: millis(Number(ms)) };
  }
  return sources;
}

function numberOf(word: string | undefined): number | undefined {
  return word === undefined ? undefined : Number(word);
}
