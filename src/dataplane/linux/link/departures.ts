import { Reader } from "../../../base/bytes/reader.ts";
import { socketError } from "../netlink/client.ts";
import { LinkMsg } from "../netlink/link.ts";
import { RtGroup } from "../netlink/monitor.ts";
import { NetlinkProtocol, native } from "../netlink/native.ts";
import { decodeMessages } from "../netlink/nlmsg.ts";

/** Ends the following of {@link followDepartures}. */
export interface Following {
  close(): void;
}

/**
 * Calls back with the index of every link that goes from this process's namespace, from when this resolves until it is
 * closed. Some may be missed: the kernel drops announcements that nobody reads in time. Rejects with NetlinkSocketError.
 */
export async function followDepartures(onGone: (index: number) => void): Promise<Following> {
  try {
    const socket = await native().openNetlink({ protocol: NetlinkProtocol.ROUTE, groups: [RtGroup.LINK] });
    socket.listen((bytes) => {
      for (const index of departed(bytes)) onGone(index);
    });
    return socket;
  } catch (e) {
    throw socketError("follow links that go", e);
  }
}

/**
 * Indices in RTM_DELLINK messages. Nothing else of them is decoded, and nothing of other messages: when 100 pods go, 600
 * announcements come.
 */
export function departed(bytes: Uint8Array): number[] {
  return decodeMessages(bytes).flatMap(({ type, body }) => {
    // A bridge announces the leaving of a port as the going of a link of family AF_BRIDGE.
    if (type !== LinkMsg.DEL || body[0] !== 0) return [];
    // struct ifinfomsg: family u8, padding u8, type u16, index s32
    const r = new Reader(body);
    r.skip(4);
    return [r.i32()];
  });
}
