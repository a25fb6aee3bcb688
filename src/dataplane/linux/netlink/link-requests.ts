import { Writer } from "../../../base/bytes/writer.ts";
import { AttrWriter } from "./attr.ts";
import {
  decodeLink,
  encodeLink,
  type Link,
  LinkAttr,
  LinkFlag,
  type LinkInfo,
  type LinkMessage,
  LinkMsg,
  linkSchema,
} from "./link.ts";
import { NlmFlag } from "./nlmsg.ts";
import { ModifyFlags, type NetlinkDump, type NetlinkRequest, noAnswer } from "./request.ts";

/** What can be given for a link that is made or changed. */
export interface LinkSpec
  extends Omit<
    LinkMessage,
    "family" | "type" | "operState" | "flags" | "change" | "info" | "promiscuity" | "newIndex" | "altNames"
  > {
  readonly up?: boolean;
}

/**
 * A link to be made. A veth's peer is given everything of its own, usually with `netnsFd`. The kernel refuses
 * `addrGenMode` here (EAFNOSUPPORT: IPv6 knows the link only afterwards): make the link down, and set the mode and `up` by
 * {@link linkSet} in the same burst. A veth's peer can't be `up` at once either (ENOTCONN: it is made before this end).
 */
export type NewLink = NewLinkEnd & { readonly info: NewLinkInfo };
export type NewLinkEnd = Omit<LinkSpec, "addrGenMode"> & { readonly name: string };
export type NewLinkInfo =
  | { readonly kind: "veth"; readonly peer: Omit<NewLinkEnd, "up"> }
  | Exclude<LinkInfo, { kind: "veth" }>;

/** Which link: by index, which is sure, or by name. */
export type LinkRef = { readonly index: number } | { readonly name: string };

/**
 * Makes a link and returns it as the kernel has made it, or undefined from kernels before 6.2, which do not say (ask
 * with {@link linkGet}). A veth's two ends can be given nearly everything at once: name, namespace, MTU, address, group.
 */
export function linkAdd(link: NewLink): NetlinkRequest<Link | undefined> {
  const info: LinkInfo = link.info.kind === "veth" ? { kind: "veth", peer: toMessage(link.info.peer) } : link.info;
  return {
    type: LinkMsg.NEW,
    flags: ModifyFlags.CREATE | NlmFlag.ECHO,
    body: encodeLink({ ...toMessage(link), info }),
    words: `create ${describeNew(link)}`,
    schema: linkSchema(info),
    decode: (answers) => {
      const echo = answers.find((m) => m.type === LinkMsg.NEW);
      return echo && decodeLink(echo.body);
    },
  };
}

/** Changes a link: up or down, MTU, address, master, group, name, namespace (`netnsFd`), IPv6 address mode. */
export function linkSet(ref: LinkRef, change: LinkSpec & { readonly info?: LinkInfo }): NetlinkRequest {
  if ("name" in ref && change.name !== undefined) {
    throw new RangeError(`${describe(ref)} can be renamed to ${change.name} by its index only`);
  }
  const { info, ...spec } = change;
  const message = { ...toMessage(spec), ...(info === undefined ? {} : { info }) };
  return {
    // RTM_NEWLINK without NLM_F_CREATE changes kind-specific options as well, which RTM_SETLINK does not.
    type: LinkMsg.NEW,
    flags: ModifyFlags.CHANGE,
    body: encodeLink({ ...message, ...ref }),
    words: `change ${describe(ref)}: ${describeChange(change)}`,
    schema: linkSchema(info),
    decode: noAnswer,
  };
}

/** Deletes a link; a veth's peer goes with it. The kernel takes about 15 ms, most of it waiting for readers. */
export function linkDelete(ref: LinkRef): NetlinkRequest {
  return {
    type: LinkMsg.DEL,
    flags: ModifyFlags.CHANGE,
    body: encodeLink(ref),
    words: `delete ${describe(ref)}`,
    schema: linkSchema(undefined),
    decode: noAnswer,
  };
}

/** Deletes all links of a group in one go: as long as one takes. ENODEV where the group has none. */
export function linkDeleteGroup(group: number): NetlinkRequest {
  // Group 0 is that of all links that nobody put into one.
  if (group === 0) throw new RangeError("link group 0 is everybody's");
  return {
    type: LinkMsg.DEL,
    flags: ModifyFlags.CHANGE,
    body: encodeLink({ group }),
    words: `delete the links of group ${group}`,
    schema: linkSchema(undefined),
    decode: noAnswer,
  };
}

/** Reads one link; ENODEV where there is none. Answers undefined never: the kernel gives the link or an error. */
export function linkGet(ref: LinkRef): NetlinkRequest<Link | undefined> {
  return {
    type: LinkMsg.GET,
    flags: NlmFlag.REQUEST | NlmFlag.ACK,
    body: encodeLink(ref),
    words: `read ${describe(ref)}`,
    schema: linkSchema(undefined),
    decode: (answers) => {
      const found = answers.find((m) => m.type === LinkMsg.NEW);
      return found && decodeLink(found.body);
    },
  };
}

/** RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h. */
const WITHOUT_STATS = 1 << 3;

/**
 * All links, or those of a kind or with a master; the kernel does the choosing. It leaves out what IPv6 has counted, and with it
 * `addrGenMode`.
 */
export function linkDump(filter: { readonly kind?: string; readonly master?: number } = {}): NetlinkDump<Link> {
  const w = new Writer();
  w.zeros(16);
  const a = new AttrWriter(w);
  a.u32(LinkAttr.EXT_MASK, WITHOUT_STATS);
  a.u32(LinkAttr.MASTER, filter.master);
  const { kind } = filter;
  if (kind !== undefined) a.nest(LinkAttr.LINKINFO, () => a.text(1, kind));
  return {
    type: LinkMsg.GET,
    body: w.finish(),
    words: kind === undefined ? "read all links" : `read all ${kind} links`,
    schema: linkSchema(undefined),
    decode: (m) => (m.type === LinkMsg.NEW ? decodeLink(m.body) : undefined),
  };
}

function toMessage(spec: LinkSpec): LinkMessage {
  const { up, ...rest } = spec;
  return up === undefined ? rest : { ...rest, flags: up ? LinkFlag.UP : 0, change: LinkFlag.UP };
}

function describe(ref: LinkRef): string {
  return "name" in ref ? `link ${ref.name}` : `link ${ref.index}`;
}

function where(spec: LinkSpec): string {
  if (spec.netnsFd !== undefined) return ` in netns fd ${spec.netnsFd}`;
  return spec.netnsPid === undefined ? "" : ` in the netns of process ${spec.netnsPid}`;
}

function describeNew(link: NewLink): string {
  const { info } = link;
  if (info.kind === "veth") {
    return `veth ${link.name}${where(link)} with peer ${info.peer.name}${where(info.peer)}`;
  }
  const kind = info.kind === "other" ? info.name : info.kind;
  if (info.kind !== "vxlan") return `${kind} ${link.name}${where(link)}`;
  return `vxlan ${link.name} (id ${info.vxlan?.id}, port ${info.vxlan?.port ?? "default"})${where(link)}`;
}

function describeChange(change: LinkSpec): string {
  const parts = Object.entries(change).map(([key, value]) => {
    if (key === "up") return value ? "up" : "down";
    return key === "info" ? "options" : `${key} ${String(value)}`;
  });
  return parts.join(", ");
}
