import { readFileSync } from "node:fs";
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent, type RequestOptions } from "node:https";
import { dirname, resolve } from "node:path";
import type { KubeConfig, User } from "@kubernetes/client-node";
import { parse } from "yaml";
import { HeddleError, toError } from "../../base/errors/errors.ts";
import { list, mapping, text } from "../convert/members.ts";

/** Neither a usable kubeconfig nor a service account. The message says what was looked for. */
export class CredentialsError extends HeddleError<"KUBECONFIG"> {
  constructor(message: string, options?: ErrorOptions) {
    super("KUBECONFIG", message, options);
  }
}

/** Where the API server is, and who we are to it. */
export interface Credentials {
  /** `https://host:port`, perhaps with a path. */
  readonly server: string;
  /** The namespace of the context or of the service account. */
  readonly namespace: string | undefined;
  /** Certificates, headers and the agent of one request. Token files are read again once a minute. */
  requestOptions(): Promise<RequestOptions>;
  /** The API server has refused what was presented: files and token programs are asked again for the next request. */
  refresh(): void;
  close(): void;
}

/**
 * From a kubeconfig file, or those of the pod's service account if `file` is undefined. Loads the Kubernetes client, which
 * takes 70 MB and half a second. @throws CredentialsError
 */
export async function loadCredentials(file: string | undefined): Promise<Credentials> {
  const client = await import("@kubernetes/client-node");
  const load = (): KubeConfig => {
    const config = new client.KubeConfig();
    try {
      if (file === undefined) config.loadFromCluster();
      else {
        config.loadFromFile(file);
        config.users = withTokenFiles(config.users, file);
      }
    } catch (e) {
      throw new CredentialsError(`${file ?? "the service account"} can't be used: ${toError(e).message}`, { cause: e });
    }
    return config;
  };
  if (file === undefined && !process.env["KUBERNETES_SERVICE_HOST"]) {
    throw new CredentialsError("no kubeconfig is given, and this is no pod of a cluster (KUBERNETES_SERVICE_HOST)");
  }
  return new KubeConfigCredentials(load);
}

/**
 * The members `tokenFile` of a kubeconfig's users, which the client passes over: it would be nobody to the server. As
 * client-go has it they win over tokens, and are relative to the kubeconfig.
 */
function withTokenFiles(users: readonly User[], file: string): User[] {
  const found = new Map(
    list(mapping(parse(readFileSync(file, "utf8")))["users"]).map((u) => [
      mapping(u)["name"],
      text(mapping(mapping(u)["user"])["tokenFile"]),
    ]),
  );
  return users.map(({ token, ...user }) => {
    const named = found.get(user.name);
    if (named === undefined) return { ...user, ...(token !== undefined && { token }) };
    const tokenFile = resolve(dirname(file), named);
    return { ...user, authProvider: { name: "tokenFile", config: { tokenFile } } };
  });
}

class KubeConfigCredentials implements Credentials {
  readonly #load: () => KubeConfig;
  readonly #https = new HttpsAgent({ keepAlive: true, maxSockets: 64 });
  readonly #http = new HttpAgent({ keepAlive: true, maxSockets: 64 });
  #config: KubeConfig;
  #stale = false;

  constructor(load: () => KubeConfig) {
    this.#load = load;
    this.#config = load();
    if (this.#config.getCurrentCluster()) return;
    throw new CredentialsError("the kubeconfig's current context has no cluster");
  }

  get server(): string {
    return this.#config.getCurrentCluster()?.server ?? "";
  }

  get namespace(): string | undefined {
    return this.#config.getContextObject(this.#config.getCurrentContext())?.namespace;
  }

  async requestOptions(): Promise<RequestOptions> {
    if (this.#stale) {
      this.#config = this.#load(); // while it is half written this throws, and the next request tries again
      this.#stale = false;
    }
    const options: RequestOptions = {};
    // Its own agents close every connection; they are of use for proxies only.
    await this.#config.applyToHTTPSOptions(options);
    if (this.#config.getCurrentCluster()?.proxyUrl) return options;
    return { ...options, agent: this.server.startsWith("https:") ? this.#https : this.#http };
  }

  refresh(): void {
    this.#stale = true;
  }

  close(): void {
    this.#https.destroy();
    this.#http.destroy();
  }
}
