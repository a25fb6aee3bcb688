import { ipJson } from "../../../src/lab/net/ip.ts";
import { type CniAnswer, type CniCommand, type CniResult, netnsPath, succeeded } from "./cni.ts";

export interface PodCall {
  readonly ifname?: string;
  /** Path; that of the pod's namespace if absent, `null` for none. */
  readonly netns?: string | null;
  readonly args?: string;
  readonly runtimeConfig?: Readonly<Record<string, unknown>>;
  /** Put into the configuration. */
  readonly conf?: Readonly<Record<string, unknown>>;
  readonly onStart?: (pid: number) => void;
}

type Call = (command: CniCommand, call: PodCall & { readonly containerId: string }) => Promise<CniAnswer>;

/** A pod without a container: a namespace, and the calls that a runtime makes for it. */
export class TestPod {
  /** Name under /run/netns. */
  readonly netns: string;
  readonly containerId: string;
  readonly #call: Call;
  readonly #results = new Map<string, CniResult>();

  constructor(netns: string, containerId: string, call: Call) {
    this.netns = netns;
    this.containerId = containerId;
    this.#call = call;
  }

  get path(): string {
    return netnsPath(this.netns);
  }

  /** What the last ADD of an interface answered. @throws Error when there was none. */
  result(ifname = "eth0"): CniResult {
    const result = this.#results.get(ifname);
    if (!result) throw new Error(`${this.netns} has no ${ifname}`);
    return result;
  }

  /** The interface's addresses without their prefixes, IPv4 first. */
  ips(ifname = "eth0"): readonly [ipv4: string, ipv6: string] {
    const [ipv4 = "", ipv6 = ""] = this.result(ifname).ips.map((ip) => ip.address.split("/")[0] ?? "");
    return [ipv4, ipv6];
  }

  /** Name of the node's end of an interface. */
  hostIf(ifname = "eth0"): string {
    return this.result(ifname).interfaces.find((i) => (i.sandbox ?? "") === "")?.name ?? "";
  }

  /** Any call, whatever comes of it. */
  async call(command: CniCommand, call: PodCall = {}): Promise<CniAnswer> {
    const { ifname = "eth0", netns = this.path, ...rest } = call;
    const answer = await this.#call(command, { ...rest, ifname, netns, containerId: this.containerId });
    if (command === "ADD" && answer.result) this.#results.set(ifname, answer.result);
    return answer;
  }

  /** @throws Error with the plugin's words. */
  async add(call: PodCall = {}): Promise<CniResult> {
    return succeeded(await this.call("ADD", call));
  }

  /** DEL as a runtime sends it, with ADD's result. @throws Error with the plugin's words. */
  async del(call: PodCall = {}): Promise<void> {
    const prevResult = this.#results.get(call.ifname ?? "eth0");
    const conf = { ...(prevResult ? { prevResult } : {}), ...call.conf };
    const answer = await this.call("DEL", { ...call, conf });
    if (answer.exitCode !== 0) throw new Error(`DEL of ${this.netns} failed: ${JSON.stringify(answer.error)}`);
  }

  /** CHECK as a runtime sends it, with ADD's result unless the call brings another one. */
  check(call: PodCall = {}): Promise<CniAnswer> {
    return this.call("CHECK", { ...call, conf: { prevResult: this.result(call.ifname), ...call.conf } });
  }

  /** `ip -j …` inside the pod. */
  ip(...args: readonly string[]): Promise<Record<string, unknown>[]> {
    return ipJson(this.netns, args);
  }
}
