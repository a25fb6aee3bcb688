import { isDeepStrictEqual } from "node:util";
import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import { vrfKey } from "../../../models/vpp/l3.ts";
import {
  validateWireguardPeer,
  WIREGUARD_PEER_PREFIX,
  type WireguardPeerValue,
  wireguardPeerKey,
} from "../../../models/vpp/wireguard.ts";
import { type Element, VppMessageUnavailableError } from "../binapi/index.ts";
import { INTERFACES, ifThere, indexOf, onInterface, type VppTarget } from "../target.ts";

/**
 * Peers of WireGuard interfaces. Metadata: VPP's number of the peer. VPP has no message that changes one: a change makes
 * it anew, and with it its session.
 */
export function wireguardPeerDescriptor(vpp: VppTarget): Descriptor<WireguardPeerValue, number> {
  const { api } = vpp;
  return {
    name: "vpp-wireguard-peer",
    keyPrefixes: [WIREGUARD_PEER_PREFIX],
    retrieveAfter: [INTERFACES],
    validate: (_key, value) => validateWireguardPeer(value),
    equivalent: (_key, a, b) => isDeepStrictEqual(inOrder(a), inOrder(b)),
    dependencies: (_key, { interface: name, vrf, endpoint }) => {
      const family = endpoint?.address.includes(":") === true ? 6 : 4;
      return vrf === 0 ? [onInterface(name)] : [onInterface(name), { label: "vrf", key: vrfKey({ family, id: vrf }) }];
    },
    // Keys stay out of records: the public one is in the key.
    describe: (_key, { endpoint, allowed }) =>
      `${endpoint === undefined ? "anywhere" : `${endpoint.address} port ${endpoint.port}`}: ${allowed.join(", ")}`,
    async create(_key, value, { signal }) {
      const peer = {
        peer_index: 0,
        public_key: Buffer.from(value.publicKey, "base64"),
        preshared_key_set: value.presharedKey !== undefined,
        ...(value.presharedKey === undefined ? {} : { preshared_key: Buffer.from(value.presharedKey, "base64") }),
        endpoint: value.endpoint?.address ?? "0.0.0.0",
        port: value.endpoint?.port ?? 0,
        persistent_keepalive: value.keepalive,
        table_id: value.vrf,
        sw_if_index: indexOf(vpp, value.interface),
        allowed_ips: value.allowed,
      };
      return (await api.request("wireguard_peer_add_v2", { peer }, { signal })).peer_index;
    },
    async delete(_key, _value, peer_index, { signal }) {
      await ifThere(() => api.request("wireguard_peer_remove", { peer_index }, { signal }));
    },
    async retrieve(correlate, { signal }) {
      const known = new Map(Array.from(correlate, ({ key, value }) => [key, value]));
      const found: Retrieved<WireguardPeerValue, number>[] = [];
      for (const { peer } of await dump()) {
        const name = vpp.nameOf(peer.sw_if_index);
        if (name === undefined) continue;
        const value = decode(name, peer);
        const key = wireguardPeerKey(value);
        found.push({ key, value: whereItWas(value, known.get(key)), metadata: peer.peer_index });
      }
      return found;

      async function dump() {
        try {
          return await api.dump("wireguard_peers_v2_dump", {}, { signal });
        } catch (e) {
          if (e instanceof VppMessageUnavailableError) return [];
          throw e;
        }
      }
    },
  };
}

function decode(name: string, peer: Element<"wireguard_peers_v2_dump">["peer"]): WireguardPeerValue {
  return {
    interface: name,
    publicKey: base64(peer.public_key),
    ...(peer.preshared_key_set ? { presharedKey: base64(peer.preshared_key) } : {}),
    ...(peer.port === 0 ? {} : { endpoint: { address: peer.endpoint, port: peer.port } }),
    vrf: peer.table_id,
    keepalive: peer.persistent_keepalive,
    allowed: peer.allowed_ips,
  };
}

/** A peer that has moved is where it should be: VPP shows where it is now, and it was authenticated there. */
function whereItWas(found: WireguardPeerValue, known: WireguardPeerValue | undefined): WireguardPeerValue {
  if (known === undefined) return found;
  const { endpoint: _now, ...rest } = found;
  return known.endpoint === undefined ? rest : { ...rest, endpoint: known.endpoint };
}

const inOrder = (value: WireguardPeerValue): WireguardPeerValue => ({
  ...value,
  allowed: [...new Set(value.allowed)].sort(),
});

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
