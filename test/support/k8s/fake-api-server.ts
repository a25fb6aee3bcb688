import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { RESOURCES, type Resource } from "../../../src/ksr/resources.ts";

export interface ApiObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [more: string]: unknown };
  readonly [more: string]: unknown;
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly authorization: string | undefined;
  readonly isWatch: boolean;
}

/** What happens to a request in place of its answer. */
export type Fault =
  | { readonly status: number; readonly retryAfter?: number; readonly text?: string }
  /** The connection is cut before anything is sent, or after so many bytes of the body. */
  | { readonly drop: true; readonly afterBytes?: number }
  | { readonly hang: true };

/** PEM. */
export interface ServerTls {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

interface HistoryEvent {
  readonly version: number;
  readonly plural: string;
  readonly type: "ADDED" | "DELETED" | "MODIFIED";
  readonly object: ApiObject;
}

interface OpenWatch {
  readonly plural: string;
  readonly response: ServerResponse;
}

/**
 * The part of a Kubernetes API server that a reflector sees, over real HTTP: consistent lists in pages, watches that resume
 * from a version, bookmarks, expired history (410 as an answer, as an event, and for pages), discovery, tokens and Leases.
 */
export class FakeApiServer {
  readonly requests: SeenRequest[] = [];
  /** Decides on each request before it is served. */
  fault: (request: SeenRequest) => Fault | undefined = () => undefined;
  /** Resources that the cluster doesn't have, by plural name. */
  readonly missing = new Set<string>();
  /** Bearer tokens that are good; anyone is if empty. */
  readonly tokens = new Set<string>();
  /** Whether a watch from too old a version is answered by status 410, or by an event. */
  goneAs: "event" | "status" = "event";
  readonly #server: Server;
  readonly #isTls: boolean;
  readonly #sockets = new Set<Socket>();
  readonly #objects = new Map<string, ApiObject>();
  readonly #watches = new Set<OpenWatch>();
  readonly #pages = new Map<string, readonly ApiObject[]>();
  #history: HistoryEvent[] = [];
  #version = 1;
  /** Events up to this version are forgotten. */
  #compacted = 0;

  private constructor(tls?: ServerTls) {
    const serve = (req: IncomingMessage, res: ServerResponse) => void this.#serve(req, res);
    this.#isTls = tls !== undefined;
    this.#server = tls
      ? createTlsServer({ ...tls, requestCert: true, rejectUnauthorized: true }, serve)
      : createServer(serve);
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  /** With `tls` it takes only clients with a certificate of its authority. */
  static async open(tls?: ServerTls): Promise<FakeApiServer> {
    const server = new FakeApiServer(tls);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `${this.#isTls ? "https" : "http"}://127.0.0.1:${this.port}`;
  }

  /** Content of a kubeconfig file; JSON is YAML. Without `cluster` the server's certificate is not checked. */
  kubeconfig(user: object = {}, cluster: object = { "insecure-skip-tls-verify": true }): string {
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name: "c", cluster: { server: this.url, ...cluster } }],
      users: [{ name: "u", user }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u", namespace: "heddle-system" } }],
      "current-context": "x",
    });
  }

  /** Of resources by plural name, as `pods`. */
  put(plural: string, object: ApiObject): void {
    const key = keyOf(plural, object.metadata.namespace, object.metadata.name);
    const type = this.#objects.has(key) ? "MODIFIED" : "ADDED";
    const metadata = { ...object.metadata, resourceVersion: String(++this.#version) };
    const stored = { ...object, metadata };
    this.#objects.set(key, stored);
    this.#happened({ version: this.#version, plural, type, object: stored });
  }

  delete(plural: string, name: string, namespace?: string): void {
    const key = keyOf(plural, namespace, name);
    const object = this.#objects.get(key);
    if (!object) throw new Error(`there is no ${key}`);
    this.#objects.delete(key);
    const metadata = { ...object.metadata, resourceVersion: String(++this.#version) };
    this.#happened({ version: this.#version, plural, type: "DELETED", object: { ...object, metadata } });
  }

  get(plural: string, name: string, namespace?: string): ApiObject | undefined {
    return this.#objects.get(keyOf(plural, namespace, name));
  }

  /** Forgets all history: what resumes or turns a page is told 410. */
  compact(): void {
    this.#compacted = this.#version;
    this.#history = [];
    this.#pages.clear();
  }

  /** What it has now; to be called later to have it so again, as from a backup: versions of objects go back. */
  backup(): () => void {
    const [objects, history, version] = [new Map(this.#objects), [...this.#history], this.#version];
    return () => {
      this.endWatches("cut");
      this.#objects.clear();
      for (const [key, object] of objects) this.#objects.set(key, object);
      this.#history = [...history];
      this.#version = version;
      this.#pages.clear();
    };
  }

  /** Sends every watch a bookmark. */
  bookmark(): void {
    for (const { response, plural } of this.#watches) {
      const metadata = { resourceVersion: String(this.#version) };
      response.write(line("BOOKMARK", { kind: plural, metadata }));
    }
  }

  /** Ends the watches of a resource, or all: in order, or by cutting their connections. */
  endWatches(how: "cut" | "end", plural?: string): void {
    for (const watch of this.#watches) {
      if (plural !== undefined && watch.plural !== plural) continue;
      this.#watches.delete(watch);
      if (how === "end") watch.response.end();
      else watch.response.destroy();
    }
  }

  /** Tells every watch that its history is gone. */
  expireWatches(): void {
    for (const { response } of this.#watches) response.end(line("ERROR", status(410, "too old resource version")));
    this.#watches.clear();
  }

  watching(plural: string): number {
    return [...this.#watches].filter((w) => w.plural === plural).length;
  }

  /** Those of a resource that were not watches. */
  lists(plural: string): SeenRequest[] {
    return this.requests.filter((r) => !r.isWatch && r.path.endsWith(`/${plural}`));
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #happened(event: HistoryEvent): void {
    this.#history.push(event);
    for (const { plural, response } of this.#watches) {
      if (plural === event.plural) response.write(line(event.type, event.object));
    }
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = new URL(req.url ?? "/", this.url);
    const seen: SeenRequest = {
      method: req.method ?? "GET",
      path: url.pathname,
      query: url.searchParams,
      authorization: req.headers.authorization,
      isWatch: url.searchParams.get("watch") === "true",
    };
    this.requests.push(seen);
    const body = await bodyOf(req);
    const fault = this.fault(seen);
    if (fault && "hang" in fault) return;
    if (fault && "status" in fault) {
      const headers = fault.retryAfter === undefined ? {} : { "retry-after": String(fault.retryAfter) };
      res.writeHead(fault.status, headers).end(fault.text ?? JSON.stringify(status(fault.status, "a fault")));
      return;
    }
    if (fault && fault.afterBytes === undefined) {
      res.destroy();
      return;
    }
    const token = seen.authorization?.replace(/^Bearer /, "").trim() ?? "";
    if (this.tokens.size > 0 && !this.tokens.has(token)) {
      answer(res, 401, status(401, "Unauthorized"));
      return;
    }
    if (fault) {
      const [, page] = this.#route(seen, body) ?? [404, {}];
      res.writeHead(200).write(JSON.stringify(page).slice(0, fault.afterBytes), () => res.destroy());
      return;
    }
    if (seen.isWatch) return this.#watch(seen, res);
    const [code, object] = this.#route(seen, body) ?? [404, status(404, "the server could not find it")];
    answer(res, code, object);
  }

  #route({ method, path, query }: SeenRequest, body: string): readonly [number, unknown] | undefined {
    const served = RESOURCES.filter((r) => !this.missing.has(r.plural));
    const listed = served.find((r) => `${r.group}/${r.plural}` === path);
    if (listed) return this.#page(listed, query);
    const group = served.filter((r) => r.group === path);
    if (group.length > 0) {
      return [200, { kind: "APIResourceList", resources: group.map((r) => ({ name: r.plural, verbs: ["list"] })) }];
    }
    const one = /^(\/api\/[^/]+|\/apis\/[^/]+\/[^/]+)(?:\/namespaces\/([^/]+))?\/([^/]+)\/([^/]+)$/.exec(path);
    const found = one && served.find((r) => r.group === one[1] && r.plural === one[3]);
    const object = found && method === "GET" ? this.get(found.plural, one?.[4] ?? "", one?.[2]) : undefined;
    if (object) return [200, object];
    const lease = /^\/apis\/coordination\.k8s\.io\/v1\/namespaces\/([^/]+)\/leases(?:\/([^/]+))?$/.exec(path);
    return lease ? this.#lease(method, lease[1] ?? "", lease[2], body) : undefined;
  }

  #page({ plural, id }: Resource, query: URLSearchParams): readonly [number, unknown] {
    const limit = Number(query.get("limit") ?? 0);
    const [version, from] = (query.get("continue") ?? `${this.#version}/0`).split("/").map(Number) as [number, number];
    const snapshot = `${plural}/${version}`;
    if (query.has("continue") && !this.#pages.has(snapshot)) return [410, status(410, "The provided continue is gone")];
    const all = this.#pages.get(snapshot) ?? this.#all(plural);
    const to = limit > 0 ? from + limit : all.length;
    const more = to < all.length;
    if (more) this.#pages.set(snapshot, all);
    const metadata = { resourceVersion: String(version), ...(more && { continue: `${version}/${to}` }) };
    const [, apiVersion, kind] = /^(.+)\/(.+)$/.exec(id) ?? [];
    return [200, { kind: `${kind}List`, apiVersion, metadata, items: all.slice(from, to).map(withoutType) }];
  }

  #all(plural: string): ApiObject[] {
    const found = [...this.#objects].filter(([key]) => key.startsWith(`${plural}/`));
    return found.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
  }

  #watch({ path, query }: SeenRequest, response: ServerResponse): void {
    const resource = RESOURCES.find((r) => `${r.group}/${r.plural}` === path && !this.missing.has(r.plural));
    if (!resource) return answer(response, 404, status(404, "the server could not find it"));
    const since = Number(query.get("resourceVersion"));
    const isGone = since < this.#compacted;
    if (isGone && this.goneAs === "status") return answer(response, 410, status(410, "too old resource version"));
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    if (isGone) {
      response.end(line("ERROR", status(410, "too old resource version")));
      return;
    }
    const { plural } = resource;
    const missed = this.#history.filter((e) => e.plural === plural && e.version > since);
    for (const event of missed) response.write(line(event.type, event.object));
    const watch = { plural, response };
    this.#watches.add(watch);
    response.on("close", () => this.#watches.delete(watch));
  }

  #lease(method: string, namespace: string, name: string | undefined, body: string): readonly [number, unknown] {
    const found = name === undefined ? undefined : this.get("leases", name, namespace);
    if (method === "GET") return found ? [200, found] : [404, status(404, "no such lease")];
    const sent = JSON.parse(body) as ApiObject;
    const existing = this.get("leases", sent.metadata.name, namespace);
    if (method === "POST" && existing) return [409, status(409, "it exists already")];
    if (method === "PUT" && !existing) return [404, status(404, "no such lease")];
    if (method === "PUT" && existing?.metadata["resourceVersion"] !== sent.metadata["resourceVersion"]) {
      return [409, status(409, "the object has been modified")];
    }
    this.put("leases", { ...sent, metadata: { ...sent.metadata, namespace } });
    return [method === "POST" ? 201 : 200, this.get("leases", sent.metadata.name, namespace)];
  }
}

const keyOf = (plural: string, namespace: string | undefined, name: string): string =>
  `${plural}/${namespace ?? ""}/${name}`;

const line = (type: string, object: unknown): string => `${JSON.stringify({ type, object })}\n`;

const status = (code: number, message: string) => ({
  kind: "Status",
  apiVersion: "v1",
  status: "Failure",
  code,
  message,
});

/** The items of the API server's lists don't say what they are. */
function withoutType(object: ApiObject): object {
  return Object.fromEntries(Object.entries(object).filter(([name]) => name !== "apiVersion" && name !== "kind"));
}

function answer(res: ServerResponse, code: number, body: unknown): void {
  res.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(body));
}

async function bodyOf(req: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
