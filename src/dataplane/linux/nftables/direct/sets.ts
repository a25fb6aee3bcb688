import type { GroupOp } from "../../../../kvscheduler/api/descriptor.ts";
import type { NftSetValue } from "../../../../models/nft.ts";
import { NLA_F_NESTED } from "../../netlink/attr.ts";
import { type NftBatch, NftMessage } from "./batch.ts";
import { FIELD, FIELDS } from "./fields.ts";
import type { Range } from "./ranges.ts";

const SetAttr = { NAME: 2, FLAGS: 3, KEY_TYPE: 4, KEY_LEN: 5, DESC: 9, ID: 10, USERDATA: 13 } as const;
const DescAttr = { SIZE: 1 } as const;
const ElementsAttr = { SET: 2, ELEMENTS: 3, SET_ID: 4 } as const;
const LIST_ELEMENT = 1;
const ElementAttr = { KEY: 1, FLAGS: 3 } as const;
const VALUE = 1;
/** NFT_SET_*, NFT_SET_ELEM_INTERVAL_END of linux/netfilter/nf_tables.h. */
const SetFlag = { ANONYMOUS: 1, CONSTANT: 2, INTERVAL: 4 } as const;
const INTERVAL_END = 1;
/** The kernel puts a number in its place. */
export const ANONYMOUS = "__set%d";
/** What nft keeps in a set for itself (libnftnl/udata.h): keys are big-endian numbers. */
const BIG_ENDIAN_KEYS = Uint8Array.of(0, 4, 2, 0, 0, 0);

/** Adds what makes or removes a set. False for a map, and for a set with flags or counters. */
export function addSet(batch: NftBatch, { kind, value }: GroupOp): boolean {
  const set = value as NftSetValue;
  const subject = `set ${set.name}`;
  if (kind === "delete") {
    batch.add(NftMessage.DELETE_SET, subject, (attrs) => attrs.string(SetAttr.NAME, set.name));
    return true;
  }
  const fields = set.type.split(" . ").map((type) => FIELDS[type]);
  if (kind !== "create" || set.kind !== "set" || set.flags?.length || set.counters) return false;
  let type = 0;
  let length = 0;
  for (const field of fields) {
    if (field === undefined) return false;
    // Six bits for each (concat_subtype_add).
    type = (type << 6) | field.id;
    length += fields.length === 1 ? field.length : Math.ceil(field.length / FIELD) * FIELD;
  }
  batch.add(NftMessage.NEW_SET, subject, (attrs) =>
    attrs
      .string(SetAttr.NAME, set.name)
      .u32be(SetAttr.FLAGS, 0)
      .u32be(SetAttr.KEY_TYPE, type)
      .u32be(SetAttr.KEY_LEN, length)
      .u32be(SetAttr.ID, batch.nextSetId())
      .bytes(SetAttr.USERDATA, set.type.endsWith("_addr") && fields.length === 1 ? BIG_ENDIAN_KEYS : undefined),
  );
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
