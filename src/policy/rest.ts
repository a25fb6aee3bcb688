import type { Route } from "../infra/http/http-server.ts";
import { need, QueryError, type Question, questionRoutes } from "../infra/http/questions.ts";
import { ModelError } from "../models/versioned-json.ts";
import { answerText } from "./answer-text.ts";
import { answer } from "./answers.ts";
import type { PolicyInput } from "./api.ts";
import { AskError } from "./ask.ts";
import { countersText } from "./counters-text.ts";
import type { PolicyEngine } from "./engine.ts";
import { policyInput } from "./inputs.ts";
import type { PolicyCounters } from "./insight.ts";
import { lintObjects } from "./lint-objects.ts";
import { lintText } from "./lint-text.ts";
import { showPod } from "./show.ts";
import { shownText } from "./show-text.ts";

/** What the routes tell about. */
export interface PolicySource {
  readonly engine: PolicyEngine;
  counters(): Promise<PolicyCounters>;
}

export interface PolicyRoutesOptions {
  /** Whether this node enforces policies at all. */
  readonly enforced: boolean;
  /** Undefined as long as the first state of the cluster has not been seen. */
  readonly source: () => PolicySource | undefined;
}

const END = "a pod as NAMESPACE/NAME, or by its name if only one has it; or an address";

const QUESTIONS: Readonly<Record<string, Question<PolicySource>>> = {
  "GET /policy/explain": {
    help: "whether one may reach another, and by which policies",
    params: { from: END, to: END, traffic: "PORT/PROTOCOL, a protocol, or icmp" },
    answer({ engine }, { query }) {
      const asked = { from: need(query, "from"), to: need(query, "to"), traffic: need(query, "traffic") };
      const value = answer(engine, asked);
      return { value, text: () => answerText(value) };
    },
  },
  "GET /policy/show": {
    help: "a pod's policies, and their rules in order",
    params: { pod: "NAMESPACE/NAME, or its name if only one has it" },
    answer({ engine }, { query }) {
      const value = showPod(engine, need(query, "pod"));
      return { value, text: () => shownText(value) };
    },
  },
  "GET /policy/counters": {
    help: "what policies have decided on this node",
    params: {},
    async answer(source) {
      const value = await source.counters();
      return { value, text: () => countersText(value) };
    },
  },
  "POST /policy/lint": {
    help: "what is wrong, or hardly meant, in policies beside the cluster's pods; body: {objects: [[key, value], …]} as the store has them, values in Base64",
    params: {},
    answer({ engine }, { body }) {
      const value = { findings: lintObjects(objectsOf(body), engine) };
      return { value, text: () => lintText(value.findings) };
    },
  },
};

/** `GET /policy` lists them. */
export function policyRoutes({ enforced, source }: PolicyRoutesOptions): [string, Route][] {
  return questionRoutes({
    at: "/policy",
    questions: QUESTIONS,
    source() {
      if (!enforced) throw new QueryError("NOT_HERE", "this node does not enforce policies (policy.enforce)");
      const now = source();
      if (now) return now;
      throw new QueryError("NOT_YET", "the cluster's state is not known yet; try again later");
    },
    statusOf(e) {
      if (e instanceof AskError) return e.code === "NO_POD" ? 404 : 400;
      return e instanceof ModelError ? 400 : undefined;
    },
  });
}

/** `{"objects": [["/heddle/k8s/networkpolicy/default/web", "eyJ2Ij…"]]}` */
function objectsOf(body: Uint8Array): PolicyInput[] {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(body));
  } catch (cause) {
    throw new QueryError("BAD_QUERY", "the body is not JSON", { cause });
  }
  const objects = typeof json === "object" && json !== null && "objects" in json ? json.objects : undefined;
  if (!Array.isArray(objects)) throw new QueryError("BAD_QUERY", "the body is not {objects: [[key, value], …]}");
  return objects.flatMap((entry: unknown): PolicyInput[] => {
    if (!isPair(entry)) throw new QueryError("BAD_QUERY", "objects has an item that is not [key, value]");
    const input = policyInput(entry[0], Buffer.from(entry[1], "base64"));
    return input ? [input] : [];
  });
}

const isPair = (entry: unknown): entry is [string, string] =>
  Array.isArray(entry) && entry.length === 2 && entry.every((part) => typeof part === "string");
