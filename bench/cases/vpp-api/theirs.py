"""The work of one side of the comparison, by VPP's own Python client: reads lines of steps, prints one line of JSON each.

    theirs.py <API socket> <directory of *.api.json>

Steps: `connect`, `ping N` (one at a time), `add N`, `dump`. The answer is {"seconds": …, "count": …}.
"""

import json
import sys
import time

from vpp_papi import VPPApiClient
from vpp_papi.vpp_papi import VPPApiJSONFiles

server, directory = sys.argv[1:]
vpp = None
NO_LABELS = [{}] * 16  # it wants as many as there is room for


def connect():
    global vpp
    files = VPPApiJSONFiles.find_api_files(api_dir=directory)
    vpp = VPPApiClient(apifiles=files, server_address=server)
    vpp.connect("bench")
    return len(vpp.messages)


def ping(count):
    control_ping = vpp.api.control_ping
    for _ in range(count):
        control_ping()
    return count


def add(count):
    ip_route_add_del = vpp.api.ip_route_add_del
    for i in range(count):
        reply = ip_route_add_del(
            is_add=True,
            is_multipath=False,
            route={
                "table_id": 0,
                "prefix": f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}/32",
                "n_paths": 1,
                "paths": [
                    {
                        "sw_if_index": 1,
                        "table_id": 0,
                        "rpf_id": 0xFFFFFFFF,
                        "weight": 1,
                        "preference": 0,
                        "type": 0,
                        "flags": 0,
                        "proto": 0,
                        "nh": {"address": {"ip4": "192.0.2.2"}},
                        "n_labels": 0,
                        "label_stack": NO_LABELS,
                    }
                ],
            },
        )
        if reply.retval != 0:
            raise RuntimeError(f"ip_route_add_del: {reply.retval}")
    return count


def dump():
    routes = vpp.api.ip_route_dump(table={"table_id": 0, "is_ip6": False})
    return sum(1 for r in routes if r.route.n_paths == 1 and r.route.prefix.prefixlen == 32)


steps = {"connect": connect, "ping": ping, "add": add, "dump": dump}
for line in sys.stdin:
    name, *args = line.split()
    begin = time.perf_counter()
    count = steps[name](*map(int, args))
    print(json.dumps({"seconds": time.perf_counter() - begin, "count": count}), flush=True)
