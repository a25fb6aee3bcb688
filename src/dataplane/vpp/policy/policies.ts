import type { Clock } from "../../../base/clock/clock.ts";
import type { Key, KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { GATEWAY_IPV4, GATEWAY_IPV6 } from "../../../models/linux.ts";
import type { LocalNodeRow } from "../../../nodes/api.ts";
import type {
  ConnectionJudge,
  IsOwnNode,
  PolicyChanges,
  PolicyItem,
  PolicyRows,
  PolicyView,
  PolicyWiring,
  Rejudgement,
  RejudgeScope,
} from "../../../policy/api.ts";
import type { TakenUplink } from "../api.ts";
import type { FlowFilter } from "../flow-filter/filter.ts";
import { BVI_INTERFACE, HOST_INTERFACE, SEGMENT_IN_INTERFACE, uplinkInterface } from "../names.ts";
import type { PolicyNodeContext } from "./base.ts";
import { SessionJudge } from "./rejudge.ts";
import { PolicyRenderer } from "./renderer.ts";
import type { Vpp } from "./sessions.ts";

export interface VppPoliciesOptions {
  readonly vpp: Vpp;
  readonly filter: FlowFilter;
  readonly clock: Clock;
  readonly node: { uplinks(): readonly TakenUplink[]; local(): LocalNodeRow | undefined };
}

/** Policies on VPP: lists of the ACL plugin, and a filter for connections that are no longer allowed. */
export class VppPolicies implements PolicyWiring {
  readonly #options: VppPoliciesOptions;
  readonly #renderer: PolicyRenderer;
  readonly #judge: SessionJudge;

  constructor(options: VppPoliciesOptions) {
    this.#options = options;
    this.#renderer = new PolicyRenderer(() => this.#node());
    this.#judge = new SessionJudge(options.vpp, options.filter, options.clock);
  }

  /** What policies ask for and VPP can't do, in words. */
  get warnings(): readonly string[] {
    const silent = "more connections than VPP can show: those that were silent may outlive a change of policies";
    return this.#judge.isPartial ? [silent] : [];
  }

  policyBase(): Iterable<KeyValue> {
    return this.#renderer.policyBase();
  }

  renderPolicies(rows: PolicyRows): Iterable<KeyValue> {
    return this.#renderer.renderPolicies(rows);
  }

  renderPolicyChanges(changes: PolicyChanges, view: PolicyView): Iterable<PolicyItem> {
    return this.#renderer.renderPolicyChanges(changes, view);
  }

  podPolicyKeys(id: string): readonly Key[] {
    return this.#renderer.podPolicyKeys(id);
  }

  rejudge(scope: RejudgeScope, judge: ConnectionJudge): Promise<Rejudgement> {
    return this.#judge.rejudge(scope, judge, this.#ownNode());
  }

  resume(scope: RejudgeScope, judge: ConnectionJudge): Promise<number> {
    return this.#judge.resume(scope, judge, this.#ownNode());
  }

  #ownNode(): IsOwnNode {
    const { addresses, linkAddresses } = this.#node();
    const own = new Set<string>([...addresses, ...linkAddresses]);
    return (ip) => own.has(ip);
  }

  #node(): PolicyNodeContext {
    const { node } = this.#options;
    const [uplinks, local] = [node.uplinks(), node.local()];
    const cidrs = uplinks.flatMap(({ addresses, former }) => [...addresses, ...(former === undefined ? [] : [former])]);
    const gateways = local?.gateways ?? [];
    const own = [...cidrs.map((cidr) => cidr.slice(0, cidr.indexOf("/"))), ...gateways];
    return {
      addresses: [...new Set(own)].filter((ip) => !isLinkLocal(ip)),
      podCIDRs: local?.podCIDRs ?? [],
      linkAddresses: [GATEWAY_IPV4, GATEWAY_IPV6],
      uplinks: uplinks.map(({ link }) => uplinkInterface(link)),
      overlay: local?.overlay.kind === "vxlan" ? BVI_INTERFACE : undefined,
      inner: [HOST_INTERFACE, SEGMENT_IN_INTERFACE],
    };
  }
}

const isLinkLocal = (ip: string): boolean => ip.startsWith("169.254.") || /^fe[89ab]/.test(ip);
