import { Writer } from "../../../../base/bytes/writer.ts";
import type { NftElementValue, NftSetValue } from "../../../../models/nft.ts";
import { IpProtocol } from "../../conntrack/tuple.ts";
import { type AttrWriter, NLA_F_NESTED } from "../../netlink/attr.ts";
import { ipToBytes } from "../../netlink/ip.ts";
import { type NftBatch, NftMessage } from "./batch.ts";

const ElementsAttr = { SET: 2, ELEMENTS: 3 } as const;
const LIST_ELEMENT = 1;
const ElementAttr = { KEY: 1, DATA: 2 } as const;
const DataAttr = { VALUE: 1, VERDICT: 2 } as const;
const VerdictAttr = { CODE: 1, CHAIN: 2 } as const;
/** NF_DROP, NF_ACCEPT of linux/netfilter.h, NFT_CONTINUE and the like of nf_tables.h. */
const VERDICTS: Readonly<Record<string, number>> = {
  drop: 0,
  accept: 1,
  continue: -1,
  jump: -3,
  goto: -4,
  return: -5,
};
const PROTOCOLS: Readonly<Record<string, number>> = { tcp: IpProtocol.TCP, udp: IpProtocol.UDP, sctp: IpProtocol.SCTP };
/** An attribute has 64 KiB at most; an element of ours less than 128 bytes. */
const MOST_IN_MESSAGE = 500;
/** Fields of a concatenation begin at multiples of it (NFT_REG32_SIZE). */
const FIELD = 4;
const IFNAMSIZ = 16;

/** A field as the kernel has it; undefined for text that is none. */
const FIELDS: Readonly<Record<string, (text: string) => Uint8Array | undefined>> = {
  ifname: (text) => {
    const name = Buffer.alloc(IFNAMSIZ);
    // A name that fills the field would have no end, an asterisk is a pattern.
    return name.write(text) < IFNAMSIZ && !text.includes("*") ? name : undefined;
  },
  ipv4_addr: (text) => address(text, 4),
  ipv6_addr: (text) => address(text, 16),
  inet_proto: (text) => {
    const protocol = PROTOCOLS[text];
    return protocol === undefined ? undefined : Uint8Array.of(protocol);
  },
  inet_service: (text) => {
    const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
    return port <= 0xffff ? Uint8Array.of(port >> 8, port & 0xff) : undefined;
  },
};

/** One operation on an element of a set. */
export interface ElementChange {
  readonly kind: "add" | "remove";
  readonly set: NftSetValue;
  readonly element: NftElementValue;
}

/** Adds messages for the changes, in order. False if one cannot be written: of a set of intervals, of another type. */
export function addElements(batch: NftBatch, changes: readonly ElementChange[]): boolean {
  for (const run of runs(changes)) {
    const [{ kind, set, element }] = run;
    const encoded = run.map((change) => encode(change));
    if (encoded.includes(undefined)) return false;
    const isNew = kind === "add";
    const others = run.length === 1 ? "" : ` and ${run.length - 1} more`;
    batch.add(
      isNew ? NftMessage.NEW_ELEMENTS : NftMessage.DELETE_ELEMENTS,
      `element ${set.name} { ${element.key} }${others}`,
      (attrs) =>
        attrs.string(ElementsAttr.SET, set.name).nest(ElementsAttr.ELEMENTS | NLA_F_NESTED, (list) => {
          for (const write of encoded) list.nest(LIST_ELEMENT | NLA_F_NESTED, (item) => write?.(item));
        }),
    );
  }
  return true;
}

/** Changes of one kind and set that follow each other. */
function* runs(changes: readonly ElementChange[]): Iterable<readonly [ElementChange, ...ElementChange[]]> {
  let run: [ElementChange, ...ElementChange[]] | undefined;
  for (const change of changes) {
    const [first] = run ?? [];
    if (run && first?.kind === change.kind && first.set === change.set && run.length < MOST_IN_MESSAGE) {
      run.push(change);
      continue;
    }
    if (run) yield run;
    run = [change];
  }
  if (run) yield run;
}

function encode({ kind, set, element }: ElementChange): ((attrs: AttrWriter) => void) | undefined {
  if (set.flags?.length) return undefined;
  const key = concatenation(element.key, set.type);
  if (key === undefined) return undefined;
  const writeKey = (attrs: AttrWriter) => writeValue(attrs, ElementAttr.KEY, key);
  if (kind === "remove" || element.data === undefined) return set.data && kind === "add" ? undefined : writeKey;
  const { data } = element;
  if (set.data === "verdict") {
    const [verb = "", chain] = data.split(" ");
    const code = VERDICTS[verb];
    if (code === undefined) return undefined;
    return (attrs) => {
      writeKey(attrs);
      attrs.nest(ElementAttr.DATA | NLA_F_NESTED, (nested) =>
        nested.nest(DataAttr.VERDICT | NLA_F_NESTED, (verdict) =>
          verdict.u32be(VerdictAttr.CODE, code >>> 0).string(VerdictAttr.CHAIN, chain),
        ),
      );
    };
  }
  const value = set.data === undefined ? undefined : concatenation(data, set.data);
  if (value === undefined) return undefined;
  return (attrs) => {
    writeKey(attrs);
    writeValue(attrs, ElementAttr.DATA, value);
  };
}

function writeValue(attrs: AttrWriter, type: number, value: Uint8Array): void {
  attrs.nest(type | NLA_F_NESTED, (nested) => nested.bytes(DataAttr.VALUE, value));
}

/** `tcp . 80` of type `inet_proto . inet_service`. Of a single field there is no padding. */
function concatenation(text: string, type: string): Uint8Array | undefined {
  const types = type.split(" . ");
  const parts = text.split(" . ");
  if (parts.length !== types.length) return undefined;
  const w = new Writer();
  for (const [i, part] of parts.entries()) {
    const field = FIELDS[types[i] ?? ""]?.(part);
    if (field === undefined) return undefined;
    w.bytes(field);
    if (types.length > 1) w.align(FIELD);
  }
  return w.finish();
}

function address(text: string, length: 4 | 16): Uint8Array | undefined {
  try {
    const bytes = ipToBytes(text);
    return bytes.length === length ? bytes : undefined;
  } catch {
    return undefined;
  }
}
