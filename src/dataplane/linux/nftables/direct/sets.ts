import type { GroupOp } from "../../../../kvscheduler/api/descriptor.ts";
import type { NftSetValue } from "../../../../models/nft.ts";
import { type AttrWriter, NLA_F_NESTED } from "../../netlink/attr.ts";
import { type NftBatch, NftMessage } from "./batch.ts";
import { FIELD, FIELDS } from "./fields.ts";
import type { Range } from "./ranges.ts";

const SetAttr = {
  NAME: 2,
  FLAGS: 3,
  KEY_TYPE: 4,
  KEY_LEN: 5,
  DATA_TYPE: 6,
  DATA_LEN: 7,
  DESC: 9,
  ID: 10,
  TIMEOUT: 11,
  USERDATA: 13,
} as const;
const DescAttr = { SIZE: 1 } as const;
const ElementsAttr = { SET: 2, ELEMENTS: 3, SET_ID: 4 } as const;
const LIST_ELEMENT = 1;
const ElementAttr = { KEY: 1, DATA: 2, FLAGS: 3 } as const;
const VALUE = 1;
/** NFT_SET_*, NFT_SET_ELEM_INTERVAL_END of linux/netfilter/nf_tables.h. */
const SetFlag = { ANONYMOUS: 1, CONSTANT: 2, INTERVAL: 4, MAP: 8, TIMEOUT: 0x10, DYNAMIC: 0x20 } as const;
/** NFT_DATA_VERDICT. */
const VERDICT_TYPE = 0xffff_ff00;
/** nft's number for numbers that are of no other type (TYPE_INTEGER). */
const INTEGER_TYPE = 4;
/** Room of a set that rules put elements into: whoever comes then is not kept there. What nft takes where it is not told. */
export const DYNAMIC_SIZE = 65_535;
/** An attribute has 64 KiB at most. */
const MOST_IN_MESSAGE = 500;
const INTERVAL_END = 1;
/** The kernel puts a number in its place. */
export const ANONYMOUS = "__set%d";
export const ANONYMOUS_MAP = "__map%d";
/** What nft keeps in a set for itself (libnftnl/udata.h): keys are big-endian numbers. */
const BIG_ENDIAN_KEYS = Uint8Array.of(0, 4, 2, 0, 0, 0);
const HOST_ENDIAN_KEYS = Uint8Array.of(0, 4, 1, 0, 0, 0);

/** Adds what makes or removes a set. False for a map, and for a set of intervals or with counters. */
export function addSet(batch: NftBatch, { kind, value }: GroupOp): boolean {
  const set = value as NftSetValue;
  const subject = `set ${set.name}`;
  if (kind === "delete") {
    batch.add(NftMessage.DELETE_SET, subject, (attrs) => attrs.string(SetAttr.NAME, set.name));
    return true;
  }
  const fields = set.type.split(" . ").map((type) => FIELDS[type]);
  const isDynamic = set.timeout !== undefined;
  if (kind !== "create" || set.kind !== "set" || (set.flags?.length && !isDynamic) || set.counters) return false;
  if (fields.includes(undefined)) return false;
  const [type, length] = concatenationType(set.type);
  batch.add(NftMessage.NEW_SET, subject, (attrs) => {
    attrs
      .string(SetAttr.NAME, set.name)
      .u32be(SetAttr.FLAGS, isDynamic ? SetFlag.TIMEOUT | SetFlag.DYNAMIC : 0)
      .u32be(SetAttr.KEY_TYPE, type)
      .u32be(SetAttr.KEY_LEN, length)
      .u32be(SetAttr.ID, batch.nextSetId())
      .bytes(SetAttr.TIMEOUT, set.timeout === undefined ? undefined : u64be(set.timeout * 1000));
    if (isDynamic) attrs.nest(SetAttr.DESC | NLA_F_NESTED, (desc) => desc.u32be(DescAttr.SIZE, DYNAMIC_SIZE));
    attrs.bytes(SetAttr.USERDATA, set.type.endsWith("_addr") && fields.length === 1 ? BIG_ENDIAN_KEYS : undefined);
  });
  return true;
}

/** Adds a set that belongs to a rule, of ranges that are apart and in order. Returns its number in the batch. */
export function addAnonymousSet(batch: NftBatch, type: string, ranges: readonly Range[], subject: string): number {
  const id = batch.nextSetId();
  const { id: typeId, length } = FIELDS[type] ?? { id: 0, length: 0 };
  const isInterval = ranges.some(({ first, last }) => Buffer.compare(first, last) !== 0);
  const elements = isInterval
    ? [...intervalElements(ranges)]
    : ranges.map(({ first }) => ({ key: first, isEnd: false }));
  batch.add(NftMessage.NEW_SET, subject, (attrs) =>
    attrs
      .string(SetAttr.NAME, ANONYMOUS)
      .u32be(SetAttr.FLAGS, SetFlag.ANONYMOUS | SetFlag.CONSTANT | (isInterval ? SetFlag.INTERVAL : 0))
      .u32be(SetAttr.KEY_TYPE, typeId)
      .u32be(SetAttr.KEY_LEN, length)
      .u32be(SetAttr.ID, id)
      .nest(SetAttr.DESC | NLA_F_NESTED, (desc) => desc.u32be(DescAttr.SIZE, elements.length))
      .bytes(SetAttr.USERDATA, BIG_ENDIAN_KEYS),
  );
  batch.add(NftMessage.NEW_ELEMENTS, subject, (attrs) =>
    attrs
      .string(ElementsAttr.SET, ANONYMOUS)
      .u32be(ElementsAttr.SET_ID, id)
      .nest(ElementsAttr.ELEMENTS | NLA_F_NESTED, (list) => {
        for (const { key, isEnd } of elements) {
          list.nest(LIST_ELEMENT | NLA_F_NESTED, (item) =>
            item
              .u32be(ElementAttr.FLAGS, isEnd ? INTERVAL_END : undefined)
              .nest(ElementAttr.KEY | NLA_F_NESTED, (value) => value.bytes(VALUE, key)),
          );
        }
      }),
  );
  return id;
}

/** What an anonymous map leads numbers to: verdicts, or values of a type of nft's. */
export type MapData =
  | { readonly verdicts: readonly ((attrs: AttrWriter) => void)[] }
  | { readonly type: string; readonly values: readonly Uint8Array[] };

/** Adds a map that belongs to a rule, of numbers from 0 on. Returns its number in the batch. */
export function addAnonymousMap(batch: NftBatch, data: MapData, subject: string): number {
  const id = batch.nextSetId();
  const count = "verdicts" in data ? data.verdicts.length : data.values.length;
  const [dataType, dataLength] = "verdicts" in data ? [VERDICT_TYPE, 0] : concatenationType(data.type);
  batch.add(NftMessage.NEW_SET, subject, (attrs) =>
    attrs
      .string(SetAttr.NAME, ANONYMOUS_MAP)
      .u32be(SetAttr.FLAGS, SetFlag.ANONYMOUS | SetFlag.CONSTANT | SetFlag.MAP)
      .u32be(SetAttr.KEY_TYPE, INTEGER_TYPE)
      .u32be(SetAttr.KEY_LEN, FIELD)
      .u32be(SetAttr.DATA_TYPE, dataType)
      .u32be(SetAttr.DATA_LEN, dataLength)
      .u32be(SetAttr.ID, id)
      .nest(SetAttr.DESC | NLA_F_NESTED, (desc) => desc.u32be(DescAttr.SIZE, count))
      .bytes(SetAttr.USERDATA, HOST_ENDIAN_KEYS),
  );
  for (let from = 0; from < count; from += MOST_IN_MESSAGE) {
    batch.add(NftMessage.NEW_ELEMENTS, subject, (attrs) =>
      attrs
        .string(ElementsAttr.SET, ANONYMOUS_MAP)
        .u32be(ElementsAttr.SET_ID, id)
        .nest(ElementsAttr.ELEMENTS | NLA_F_NESTED, (list) => {
          for (let i = from; i < Math.min(from + MOST_IN_MESSAGE, count); i++) {
            list.nest(LIST_ELEMENT | NLA_F_NESTED, (item) => {
              item.nest(ElementAttr.KEY | NLA_F_NESTED, (value) => value.bytes(VALUE, u32(i)));
              if ("verdicts" in data) item.nest(ElementAttr.DATA | NLA_F_NESTED, data.verdicts[i] ?? (() => {}));
              else item.nest(ElementAttr.DATA | NLA_F_NESTED, (value) => value.bytes(VALUE, data.values[i]));
            });
          }
        }),
    );
  }
  return id;
}

/** Of `ipv4_addr . inet_service`: nft's number, and bytes. Types that are not known count nothing. */
function concatenationType(text: string): readonly [type: number, length: number] {
  const fields = text.split(" . ").map((type) => FIELDS[type]);
  const padded = (length: number): number => Math.ceil(length / FIELD) * FIELD;
  return [
    // Six bits for each (concat_subtype_add).
    fields.reduce((sum, field) => (sum << 6) | (field?.id ?? 0), 0),
    fields.reduce((sum, field) => sum + (fields.length === 1 ? (field?.length ?? 0) : padded(field?.length ?? 0)), 0),
  ];
}

/** In the byte order of this machine, which is little-endian. */
export function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64be(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

/** The kernel has where ranges begin, and where what is between them begins. */
function* intervalElements(ranges: readonly Range[]): Iterable<{ readonly key: Uint8Array; readonly isEnd: boolean }> {
  const [begin] = ranges;
  if (begin?.first.some((byte) => byte !== 0)) yield { key: new Uint8Array(begin.first.length), isEnd: true };
  for (const { first, last } of ranges) {
    yield { key: first, isEnd: false };
    const next = successor(last);
    if (next) yield { key: next, isEnd: true };
  }
}

/** Undefined behind the greatest number. */
export function successor(number: Uint8Array): Uint8Array | undefined {
  const next = Uint8Array.from(number);
  for (let i = next.length - 1; i >= 0; i--) {
    const byte = next[i] ?? 0;
    next[i] = (byte + 1) & 0xff;
    if (byte !== 0xff) return next;
  }
  return undefined;
}
