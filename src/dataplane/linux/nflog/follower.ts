import { toError } from "../../../base/errors/errors.ts";
import { socketError } from "../netlink/client.ts";
import { decodeBatch, encodeBatch } from "../netlink/exchange.ts";
import { type NativeNetlinkSocket, NetlinkProtocol, native } from "../netlink/native.ts";
import { decodeEach } from "../netlink/nlmsg.ts";
import { bindGroup, decodePacket, type LoggedPacket } from "./messages.ts";

/** Room for some thousand packets: those that come while the event loop is busy. */
const RECEIVE_BUFFER = 1 << 20;

export interface LogListener {
  packets(packets: readonly LoggedPacket[]): void;
  /** The kernel has dropped some, or some could not be read. */
  lost(): void;
}

/** Is told of the packets of one group of nfnetlink_log, in the network namespace of this process. */
export class LogFollower {
  readonly #socket: NativeNetlinkSocket;

  private constructor(socket: NativeNetlinkSocket) {
    this.#socket = socket;
  }

  /** `copyBytes` of each packet. Rejects with a NetlinkError, EPERM where somebody else follows the group. */
  static async open(group: number, copyBytes: number, listener: LogListener): Promise<LogFollower> {
    const request = bindGroup(group, copyBytes);
    let socket: NativeNetlinkSocket;
    try {
      socket = await native().openNetlink({ protocol: NetlinkProtocol.NETFILTER, receiveBuffer: RECEIVE_BUFFER });
    } catch (e) {
      throw socketError(request.words, e);
    }
    try {
      const [outcome] = decodeBatch([request], 1, await socket.transact(encodeBatch([request], 1)));
      if (outcome?.ok !== true) throw outcome?.error ?? new Error("no answer");
      socket.listen((bytes, overrun) => deliver(listener, bytes, overrun));
    } catch (e) {
      socket.close();
      throw toError(e);
    }
    return new LogFollower(socket);
  }

  /** The group is free when it returns. */
  close(): void {
    this.#socket.close();
  }
}

function deliver(listener: LogListener, bytes: Uint8Array, overrun: boolean): void {
  const { packets, lost } = decodePackets(bytes);
  if (packets.length > 0) listener.packets(packets);
  if (overrun || lost) listener.lost();
}

/** The packets that `bytes` tell of; `lost` says that something among them could not be read. */
export function decodePackets(bytes: Uint8Array): { readonly packets: LoggedPacket[]; readonly lost: boolean } {
  const { decoded, lost } = decodeEach(bytes, decodePacket);
  return { packets: decoded, lost };
}
