import { expect, it } from "vitest";
import {
  flowOfTranslation,
  parseCount,
  parseSessions as parseLines,
} from "../../../../../src/dataplane/vpp/policy/sessions.ts";

/** What VPP 26.06 printed of a ping and a datagram from one pod to another, and of an IPv6 connection; shortened. */
const SHOWN = `Sessions total: add 5 - del 0 = 5
Sessions active: add 5 - deact 1 = 4

Per-thread data:
Thread #0:
    sw_if_index 2: add 2 - del 0 = 2; epoch chg: 0

IPv6 Session lookup hash table:
Hash table 'ACL plugin FA IPv6 session bihash'
[816]: heap offset 106304264, len 1, refcnt 2, linear 0
    0: l3 fd00::2 -> fd00::3 l4 lsb_of_sw_if_index 2 proto 6 l4_is_input 1 l4_slow_path 0 l4_flags 0x01 port 40000 -> 80 | sess id 4 thread id 0 epoch 8003
    1: l3 fd00::3 -> fd00::2 l4 lsb_of_sw_if_index 2 proto 6 l4_is_input 0 l4_slow_path 0 l4_flags 0x00 port 80 -> 40000 | sess id 4 thread id 0 epoch 8003

IPv4 Session lookup hash table:
Hash table 'ACL plugin FA IPv4 session bihash'
[816]: heap offset 106304264, len 1, refcnt 2, linear 0
    0: l3 10.9.0.2 -> 10.9.0.3 l4 lsb_of_sw_if_index 2 proto 1 l4_is_input 1 l4_slow_path 1 l4_flags 0x03 port 8 -> 0 | sess id 0 thread id 0 epoch 8000
[9286]: heap offset 107185144, len 1, refcnt 2, linear 0
    0: l3 10.9.0.3 -> 10.9.0.2 l4 lsb_of_sw_if_index 2 proto 17 l4_is_input 0 l4_slow_path 0 l4_flags 0x00 port 7000 -> 51193 | sess id 2 thread id 0 epoch 8000
[46638]: heap offset 111069752, len 1, refcnt 2, linear 0
    0: l3 10.9.0.2 -> 10.9.0.3 l4 lsb_of_sw_if_index 3 proto 17 l4_is_input 0 l4_slow_path 0 l4_flags 0x00 port 51193 -> 7000 | sess id 3 thread id 0 epoch 0000
    8 active elements 8 active buckets
`;

const parseSessions = (text: string) => [...parseLines(text)].filter((flow) => flow !== undefined);

it("flows are those of the packets that began sessions, in whichever direction of an interface", () => {
  expect([...parseSessions(SHOWN)]).toEqual([
    { family: 6, protocol: 6, source: "fd00::2", destination: "fd00::3", first: 40_000, second: 80 },
    { family: 4, protocol: 1, source: "10.9.0.2", destination: "10.9.0.3", first: 8, second: 0 },
    { family: 4, protocol: 17, source: "10.9.0.2", destination: "10.9.0.3", first: 51_193, second: 7000 },
  ]);
});

it("a session that a server's packet began, after VPP's restart, is of the client's flow", () => {
  const reply = SHOWN.replace(
    "l4_is_input 0 l4_slow_path 0 l4_flags 0x00 port 7000 -> 51193 | sess id 2 thread id 0 epoch 8000",
    "l4_is_input 1 l4_slow_path 0 l4_flags 0x01 port 7000 -> 51193 | sess id 2 thread id 0 epoch 8000",
  );
  const flows = [...parseSessions(reply)].filter(({ protocol }) => protocol === 17);
  expect(flows).toHaveLength(2);
  expect(flows[0]).toEqual(flows[1]);
});

it("a plugin that has seen no session yet shows none", () => {
  expect([...parseSessions("Session lookup hash table is not allocated.\n")]).toEqual([]);
});

it("the number of sessions is that of those in use", () => {
  expect([parseCount(SHOWN), parseCount("")]).toEqual([4, 0]);
});

it("a flow that CNAT has translated is of the backend that answers", () => {
  const tuple = { addr: ["10.1.0.3", "10.1.0.2"], port: [0x581b, 0xf9c7], ip_proto: 6 };
  const session = { tuple, ts_index: 1, flags: 16 };
  const told = (more: object) => flowOfTranslation({ session: { ...session, ...more } } as never);
  const ends = { family: 4, source: "10.1.0.2", destination: "10.1.0.3" };
  expect(told({})).toEqual({ ...ends, protocol: 6, first: 51_193, second: 7000 });
  // What the client sends goes to the service.
  expect(told({ flags: 0 })).toBeUndefined();
  expect(told({ tuple: { ...tuple, ip_proto: 1 } })).toEqual({ ...ends, protocol: 1, first: 8, second: 0 });
  expect(told({ tuple: { ...tuple, ip_proto: 132 } })).toEqual({ ...ends, protocol: 132, first: 0, second: 0 });
});
