import type { AttrSchema } from "./ext-ack.ts";
import { type NetlinkMessage, NlmFlag } from "./nlmsg.ts";

/** A netlink request, ready to be sent, in bytes and in words. Builders make it; nothing in it refers to a socket. */
export interface NetlinkRequest<T = void> {
  readonly type: number;
  /** NLM_F_*; NLM_F_REQUEST included. */
  readonly flags: number;
  readonly body: Uint8Array;
  /** The request as an administrator would put it: `create veth hd12 with peer eth0`. Errors begin with it. */
  readonly words: string;
  /** Names the attributes of the body for errors. */
  readonly schema: AttrSchema;
  /** Makes the result of the messages that came back besides the acknowledgement. */
  readonly decode: (answers: readonly NetlinkMessage[]) => T;
}

/** A request for all objects of a kind; `decode` returns undefined for those that are not wanted. */
export interface NetlinkDump<T> {
  readonly type: number;
  readonly body: Uint8Array;
  readonly words: string;
  readonly schema: AttrSchema;
  readonly decode: (message: NetlinkMessage) => T | undefined;
}

/** Flags of requests that change something. */
export const ModifyFlags = {
  /** Must not exist yet. */
  CREATE: NlmFlag.REQUEST | NlmFlag.ACK | NlmFlag.CREATE | NlmFlag.EXCL,
  /** Made, or replaced where it exists. */
  REPLACE: NlmFlag.REQUEST | NlmFlag.ACK | NlmFlag.CREATE | NlmFlag.REPLACE,
  /** Beside what exists. */
  APPEND: NlmFlag.REQUEST | NlmFlag.ACK | NlmFlag.CREATE | NlmFlag.APPEND,
  /** Must exist. */
  CHANGE: NlmFlag.REQUEST | NlmFlag.ACK,
} as const;

/** How a request treats what exists already. */
export type ModifyMode = "create" | "replace" | "append" | "change";

/** The flags of a mode. */
export function modeFlags(mode: ModifyMode): number {
  switch (mode) {
    case "create":
      return ModifyFlags.CREATE;
    case "replace":
      return ModifyFlags.REPLACE;
    case "append":
      return ModifyFlags.APPEND;
    case "change":
      return ModifyFlags.CHANGE;
  }
}

/** The `decode` of requests that are answered by an acknowledgement alone. */
export function noAnswer(): void {}
