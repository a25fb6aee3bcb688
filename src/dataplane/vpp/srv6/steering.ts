import type { Dependency, Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { InvalidValueError } from "../../../kvscheduler/api/errors.ts";
import { vrfKey } from "../../../models/vpp/l3.ts";
import {
  SRV6_STEERING_PREFIX,
  type Srv6SteeringValue,
  srv6PolicyKey,
  srv6SteeringKey,
  validateSrv6Steering,
} from "../../../models/vpp/srv6.ts";
import { SrSteer, VppApiError } from "../binapi/index.ts";
import { INTERFACES, indexOf, NO_INDEX, onInterface, type VppTarget } from "../target.ts";
import type { Srv6PolicyMetadata } from "./policy.ts";

/** What takes the way of a policy. VPP dies of a table that it doesn't have, and of a policy that goes before: both are dependencies. */
export function srv6SteeringDescriptor(vpp: VppTarget): Descriptor<Srv6SteeringValue, undefined> {
  const { api } = vpp;
  const request = async (is_del: boolean, { traffic, policy }: Srv6SteeringValue, signal: AbortSignal) => {
    const l2 = "interface" in traffic;
    const input = {
      is_del,
      bsid_addr: policy,
      sr_policy_index: 0,
      table_id: l2 ? 0 : traffic.vrf,
      prefix: l2 ? "::/0" : traffic.prefix,
      sw_if_index: l2 ? indexOf(vpp, traffic.interface) : NO_INDEX,
      traffic_type: typeOf({ traffic }),
    };
    await api.request("sr_steering_add_del", input, { signal });
    return undefined;
  };
  return {
    name: "vpp-srv6-steering",
    keyPrefixes: [SRV6_STEERING_PREFIX],
    retrieveAfter: [INTERFACES, "vpp-srv6-policy"],
    validate: (_key, value) => validateSrv6Steering(value),
    dependencies: (_key, value) => dependencies(value),
    describe: (_key, { policy }) => `by ${policy}`,
    create(_key, value, ctx) {
      const policy = ctx.metadata<Srv6PolicyMetadata>(srv6PolicyKey(value.policy));
      // Else VPP says so too late: the interface is no longer what it was.
      if (policy?.hasOuterHeader !== true && typeOf(value) !== SrSteer.SR_STEER_API_IPV6) {
        throw new InvalidValueError("policy: only IPv6 packets take a policy without an outer header", ["policy"]);
      }
      return request(false, value, ctx.signal);
    },
    async delete(_key, value, _metadata, { signal }) {
      if ("interface" in value.traffic && vpp.indexOf(value.traffic.interface) === undefined) return;
      try {
        await request(true, value, signal);
      } catch (e) {
        if (!(e instanceof VppApiError && e.retval === NOT_STEERED)) throw e;
      }
    },
    async retrieve(_correlate, { signal }) {
      const steered = await api.dump("sr_steering_pol_dump", {}, { signal });
      return steered.flatMap((details): Retrieved<Srv6SteeringValue, undefined>[] => {
        let traffic: Srv6SteeringValue["traffic"];
        if (details.traffic_type === SrSteer.SR_STEER_API_L2) {
          const name = vpp.nameOf(details.sw_if_index);
          if (name === undefined) return [];
          traffic = { interface: name };
        } else {
          traffic = { prefix: details.prefix, vrf: details.fib_table };
        }
        const value = { traffic, policy: details.bsid };
        return [{ key: srv6SteeringKey(value), value, metadata: undefined }];
      });
    },
  };
}

/** What VPP says when there is nothing to remove. */
const NOT_STEERED = -4;

function typeOf({ traffic }: Pick<Srv6SteeringValue, "traffic">): SrSteer {
  if ("interface" in traffic) return SrSteer.SR_STEER_API_L2;
  return traffic.prefix.includes(":") ? SrSteer.SR_STEER_API_IPV6 : SrSteer.SR_STEER_API_IPV4;
}

function dependencies({ traffic, policy }: Srv6SteeringValue): readonly Dependency[] {
  const way = { label: "policy", key: srv6PolicyKey(policy) };
  if ("interface" in traffic) return [way, onInterface(traffic.interface)];
  const family = traffic.prefix.includes(":") ? 6 : 4;
  return traffic.vrf === 0 ? [way] : [way, { label: "vrf", key: vrfKey({ family, id: traffic.vrf }) }];
}
