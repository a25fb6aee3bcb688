"""Sends, from a pod's eth0, frames that no kernel of good faith would: hostile-frames.py TO-IPV4 GATEWAY-MAC [SEED].

Each goes with a struct virtio_net_hdr (linux/virtio_net.h), which says what is left to be done. What the pod's own kernel
refuses does not get out, and is counted. Prints `sent N refused N`.
"""
import random
import socket
import struct
import sys

to, gateway, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 1
chance = random.Random(seed)
SOL_PACKET, PACKET_VNET_HDR = 263, 15
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
out.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
out.bind(("eth0", 0))
own_mac = out.getsockname()[4]
probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
probe.connect((to, 9))
source = probe.getsockname()[0]

NEEDS_CSUM, DATA_VALID = 1, 2
NONE, TCPV4, UDP, TCPV6, UDP_L4, ECN = 0, 1, 3, 4, 5, 0x80


def ethernet(kind, payload, tags=b""):
    return bytes.fromhex(gateway.replace(":", "")) + own_mac + tags + struct.pack("!H", kind) + payload


def ipv4(proto, payload, options=b"", length=None, fragment=0):
    words = 5 + len(options) // 4
    total = 4 * words + len(payload) if length is None else length
    head = struct.pack("!BBHHHBBH4s4s", 0x40 | words, 0, total & 0xFFFF, 1, fragment, 64, proto, 0,
                       socket.inet_aton(source), socket.inet_aton(to)) + options
    total = sum(struct.unpack(f"!{len(head) // 2}H", head))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:] + payload


def tcp(data, offset=5):
    return struct.pack("!HHIIBBHHH", 1, 9, 1, 1, offset << 4, 0x10, 1000, 0, 0) + data


def udp(data, length=None):
    return struct.pack("!HHHH", 1, 9, 8 + len(data) if length is None else length, 0) + data


def header(flags=0, gso=NONE, hdr_len=0, size=0, start=0, offset=0):
    return struct.pack("=BBHHHH", flags, gso, hdr_len, size, start, offset)


def frames():
    big = bytes(60000)
    some = bytes(4000)
    yield "a segment of one byte each", header(NEEDS_CSUM, TCPV4, 54, 1, 34, 16), ethernet(0x800, ipv4(6, tcp(some)))
    yield "a segment longer than itself", header(NEEDS_CSUM, TCPV4, 54, 65535, 34, 16), ethernet(0x800, ipv4(6, tcp(big)))
    yield "the longest segment", header(NEEDS_CSUM, TCPV4, 54, 1400, 34, 16), ethernet(0x800, ipv4(6, tcp(bytes(65535 - 40))))
    yield "a segment with ECN", header(NEEDS_CSUM, TCPV4 | ECN, 54, 1000, 34, 16), ethernet(0x800, ipv4(6, tcp(big)))
    yield "a segment of UDP", header(NEEDS_CSUM, UDP_L4, 42, 1000, 34, 6), ethernet(0x800, ipv4(17, udp(some)))
    yield "a fragment to be of UDP", header(NEEDS_CSUM, UDP, 42, 1000, 34, 6), ethernet(0x800, ipv4(17, udp(some)))
    yield "TCP said to be IPv6", header(NEEDS_CSUM, TCPV6, 54, 1000, 34, 16), ethernet(0x800, ipv4(6, tcp(some)))
    yield "a checksum behind the end", header(NEEDS_CSUM, NONE, 0, 0, 60000, 16), ethernet(0x800, ipv4(6, tcp(b"x")))
    yield "a checksum in the Ethernet header", header(NEEDS_CSUM, NONE, 0, 0, 2, 0), ethernet(0x800, ipv4(6, tcp(b"x")))
    yield "a checksum of ICMP", header(NEEDS_CSUM, NONE, 0, 0, 34, 2), ethernet(0x800, ipv4(1, b"\x08\0\0\0" + bytes(60)))
    yield "options up to the end", header(), ethernet(0x800, ipv4(6, b"", options=bytes(40)))
    yield "an IP length of nothing", header(NEEDS_CSUM, NONE, 0, 0, 34, 16), ethernet(0x800, ipv4(6, tcp(b"x"), length=0))
    yield "an IP length beyond the frame", header(NEEDS_CSUM, NONE, 0, 0, 34, 16), ethernet(0x800, ipv4(6, tcp(b"x"), length=9000))
    yield "a TCP header beyond the packet", header(NEEDS_CSUM, TCPV4, 54, 1000, 34, 16), ethernet(0x800, ipv4(6, tcp(some, offset=15)))
    yield "UDP of length 0", header(NEEDS_CSUM, NONE, 0, 0, 34, 6), ethernet(0x800, ipv4(17, udp(b"x", length=0)))
    yield "two tags", header(), ethernet(0x800, ipv4(17, udp(b"x")), tags=b"\x81\0\0\x05\x81\0\0\x06")
    yield "only a header", header(), ethernet(0x800, b"")
    yield "an unknown type", header(DATA_VALID), ethernet(0x88B5, bytes(46))
    yield "a fragment that begins nowhere", header(), ethernet(0x800, ipv4(17, udp(some[:1000]), fragment=0x1FFF))
    yield "IPv6 said to be IPv4", header(NEEDS_CSUM, TCPV4, 54, 1000, 34, 16), ethernet(0x86DD, ipv4(6, tcp(some)))
    yield "IPv6 headers without an end", header(NEEDS_CSUM, NONE, 0, 0, 34, 16), ethernet(
        0x86DD, struct.pack("!IHBB16s16s", 0x60000000, 600, 0, 64, bytes(16), bytes(16)) + bytes(600))
    for _ in range(200):
        noise = header(chance.choice((0, 1, 2, 3)), chance.choice((0, 1, 3, 4, 5, 0x81)), chance.randrange(0, 200),
                       chance.choice((0, 1, 8, 536, 1400, 65535)), chance.randrange(0, 200), chance.randrange(0, 40))
        length = chance.choice((0, 1, 40, 400, 1400, 9000, 60000))
        payload = chance.choice((ipv4(6, tcp(bytes(length))), ipv4(17, udp(bytes(length))), chance.randbytes(min(length, 1400))))
        yield "noise", noise, ethernet(chance.choice((0x800, 0x800, 0x86DD)), payload)


sent = refused = 0
for name, head, frame in frames():
    try:
        out.send(head + frame)
        sent += 1
    except OSError:
        refused += 1
print(f"sent {sent} refused {refused}")
