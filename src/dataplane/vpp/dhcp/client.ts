import type { Descriptor, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  DHCP_CLIENT_PREFIX,
  type DhcpClientValue,
  dhcpClientKey,
  validateDhcpClient,
} from "../../../models/vpp/dhcp.ts";
import { interfaceUpKey } from "../../../models/vpp/interface.ts";
import { IpDscp, VppApiError, VppMessageUnavailableError } from "../binapi/index.ts";
import { INTERFACES, ifThere, indexOf, onInterface, type VppTarget } from "../target.ts";

/** DHCP clients; leases.ts tells what they have got. */
export function dhcpClientDescriptor(vpp: VppTarget): Descriptor<DhcpClientValue, undefined> {
  const { api } = vpp;
  const request = async (is_add: boolean, sw_if_index: number, value: DhcpClientValue, signal: AbortSignal) => {
    const client = {
      sw_if_index,
      hostname: value.hostname,
      // Read as a text, in spite of its type.
      id: Buffer.concat([Buffer.from(value.clientId, "latin1")], 64),
      // Events would go to the connection that made the client, and to no later one.
      want_dhcp_event: false,
      set_broadcast_flag: value.broadcast,
      dscp: IpDscp.IP_API_DSCP_CS0,
      pid: 0,
    };
    await api.request("dhcp_client_config", { is_add, client }, { signal });
    return undefined;
  };
  return {
    name: "vpp-dhcp-client",
    keyPrefixes: [DHCP_CLIENT_PREFIX],
    retrieveAfter: [INTERFACES],
    validate: (_key, value) => validateDhcpClient(value),
    // It would ask in vain, and again only after a second.
    dependencies: (_key, value) => [
      onInterface(value.interface),
      { label: "interface is up", key: interfaceUpKey(value.interface) },
    ],
    describe: (_key, { hostname }) => `as ${hostname}`,
    create: (_key, value, { signal }) => request(true, indexOf(vpp, value.interface), value, signal),
    async delete(_key, value, _metadata, { signal }) {
      const index = vpp.indexOf(value.interface);
      if (index === undefined) return;
      try {
        await ifThere(() => request(false, index, value, signal));
      } catch (e) {
        // What it says when there is none.
        if (!(e instanceof VppApiError && e.code === "INVALID_VALUE")) throw e;
      }
    },
    async retrieve(_correlate, { signal }) {
      try {
        const clients = await api.dump("dhcp_client_dump", {}, { signal });
        return clients.flatMap(({ client }): Retrieved<DhcpClientValue, undefined>[] => {
          const name = vpp.nameOf(client.sw_if_index);
          if (name === undefined) return [];
          const { hostname, set_broadcast_flag: broadcast } = client;
          const clientId = Buffer.from(client.id).toString("latin1").replace(/\0.*$/s, "");
          return [
            {
              key: dhcpClientKey(name),
              value: { interface: name, hostname, clientId, broadcast },
              metadata: undefined,
            },
          ];
        });
      } catch (e) {
        if (e instanceof VppMessageUnavailableError) return [];
        throw e;
      }
    },
  };
}
