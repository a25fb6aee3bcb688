import { isDeepStrictEqual } from "node:util";
import { type Clock, type Duration, sleep } from "../../../base/clock/clock.ts";
import { DhcpClientState, type VppApi, VppMessageUnavailableError } from "../binapi/index.ts";
import type { VppNames } from "../target.ts";

/** What a DHCP client has got. VPP has put address and route in place already. */
export interface DhcpLease {
  readonly interface: string;
  /** With its prefix length. */
  readonly address: string;
  /** Absent: the server named none. */
  readonly router?: string;
  readonly nameServers: readonly string[];
}

/** The leases of all clients on our interfaces; by interface. */
export async function readDhcpLeases(
  vpp: Pick<VppNames, "api" | "nameOf">,
  signal: AbortSignal,
): Promise<readonly DhcpLease[]> {
  const leases = (await dumpLeases(vpp.api, signal)).flatMap((lease): DhcpLease[] => {
    const name = vpp.nameOf(lease.sw_if_index);
    if (name === undefined) return [];
    const router = lease.router_address;
    const nameServers = lease.domain_server.map(({ address }) => String(address));
    const address = `${lease.host_address}/${lease.mask_width}`;
    return [{ interface: name, address, ...(router === "0.0.0.0" ? {} : { router }), nameServers }];
  });
  return leases.toSorted((a, b) => (a.interface < b.interface ? -1 : 1));
}

/** `sw_if_index address/length` of addresses that DHCP put on interfaces: they are nobody's configuration. */
export async function leasedAddresses(api: VppApi, signal: AbortSignal): Promise<ReadonlySet<string>> {
  const leases = await dumpLeases(api, signal);
  return new Set(leases.map((lease) => `${lease.sw_if_index} ${lease.host_address}/${lease.mask_width}`));
}

async function dumpLeases(api: VppApi, signal: AbortSignal) {
  try {
    const clients = await api.dump("dhcp_client_dump", {}, { signal });
    return clients
      .map(({ lease }) => lease)
      .filter(({ state }) => state === DhcpClientState.DHCP_CLIENT_STATE_API_BOUND);
  } catch (e) {
    if (e instanceof VppMessageUnavailableError) return [];
    throw e;
  }
}

export interface LeaseWatch {
  readonly vpp: VppNames;
  readonly clock: Clock;
  readonly every: Duration;
  /**
   * All leases, when they are not what they were. Called for the first ones, too, unless there are none; and again when it
   * has failed.
   */
  readonly onChange: (leases: readonly DhcpLease[]) => Promise<void> | void;
  /** Told what reading, or being told, failed with; it goes on. */
  readonly onError: (error: unknown) => void;
}

/**
 * Reads the leases again and again until `signal` aborts. VPP's lease events are of no use here: they go to the connection
 * that made the client, and are over with it, while the client lives on.
 */
export async function watchDhcpLeases({ vpp, clock, every, onChange, onError }: LeaseWatch, signal: AbortSignal) {
  let before: readonly DhcpLease[] = [];
  while (!signal.aborted) {
    try {
      const now = await readDhcpLeases(vpp, signal);
      if (!isDeepStrictEqual(now, before)) await onChange(now);
      before = now;
    } catch (e) {
      if (!signal.aborted) onError(e);
    }
    await sleep(clock, every, signal).catch(() => undefined);
  }
}
