"""Writes papi.json: messages as VPP's own Python client packs them, to compare ours with.

    python3 capture.py <vpp sources>/src/vpp-api/python <directory of *.api.json> > papi.json
"""

import json
import sys

sys.path.insert(0, sys.argv[1])
from vpp_papi import VPPApiClient  # noqa: E402
from vpp_papi.vpp_papi import VPPApiJSONFiles  # noqa: E402

files = VPPApiJSONFiles.find_api_files(api_dir=sys.argv[2])
vpp = VPPApiClient(apifiles=files, server_address="/nonexistent")


def path(**changes):
    nh = {
        "address": changes.pop("address", {"ip4": "0.0.0.0"}),
        "via_label": 0x100000,
        "obj_id": 0xFFFFFFFF,
        "classify_table_index": 0xFFFFFFFF,
    }
    label = {"is_uniform": 0, "label": 0, "ttl": 0, "exp": 0}
    return {
        "sw_if_index": 7,
        "table_id": 0,
        "rpf_id": 0xFFFFFFFF,
        "weight": 1,
        "preference": 0,
        "type": 0,
        "flags": 0,
        "proto": 0,
        "nh": nh,
        "n_labels": 0,
        "label_stack": [label] * 16,
        **changes,
    }


CASES = [
    ("control_ping", {}),
    ("cli_inband", {"cmd": "show version verbose"}),
    ("sw_interface_dump", {"sw_if_index": 0xFFFFFFFF, "name_filter_valid": False, "name_filter": ""}),
    ("sw_interface_set_flags", {"sw_if_index": 258, "flags": 1}),
    ("sw_interface_add_del_address", {"sw_if_index": 1, "is_add": True, "del_all": False, "prefix": "169.254.1.1/32"}),
    ("sw_interface_add_del_address", {"sw_if_index": 1, "is_add": True, "del_all": False, "prefix": "fd10:244:0:1::1/128"}),
    ("create_loopback_instance", {"mac_address": "02:fe:0a:01:02:03", "is_specified": True, "user_instance": 9}),
    ("ip_table_add_del", {"is_add": True, "table": {"table_id": 10, "is_ip6": True, "name": "tenant-a"}}),
    ("ip_route_add_del", {"is_add": True, "is_multipath": False, "route": {
        "table_id": 0, "stats_index": 0, "prefix": "10.244.1.2/32", "n_paths": 2,
        "paths": [path(address={"ip4": "10.0.0.1"}), path(address={"ip4": "10.0.0.2"}, weight=3)]}}),
    ("ip_route_add_del", {"is_add": False, "is_multipath": False, "route": {
        "table_id": 1, "stats_index": 0, "prefix": "fd10:244::/64", "n_paths": 1,
        "paths": [path(address={"ip6": "fe80::1"}, proto=1)]}}),
    ("ip_neighbor_add_del", {"is_add": True, "neighbor": {
        "sw_if_index": 3, "flags": 1, "mac_address": "02:00:00:00:00:01", "ip_address": "fe80::1"}}),
    ("acl_add_replace", {"acl_index": 0xFFFFFFFF, "tag": "default/deny", "count": 2, "r": [
        {"is_permit": 2, "src_prefix": "10.0.0.0/8", "dst_prefix": "0.0.0.0/0", "proto": 6,
         "srcport_or_icmptype_first": 0, "srcport_or_icmptype_last": 65535,
         "dstport_or_icmpcode_first": 80, "dstport_or_icmpcode_last": 81, "tcp_flags_mask": 18, "tcp_flags_value": 2},
        {"is_permit": 0, "src_prefix": "::/0", "dst_prefix": "fd10::/16", "proto": 0,
         "srcport_or_icmptype_first": 0, "srcport_or_icmptype_last": 65535,
         "dstport_or_icmpcode_first": 0, "dstport_or_icmpcode_last": 65535, "tcp_flags_mask": 0, "tcp_flags_value": 0}]}),
    ("acl_interface_set_acl_list", {"sw_if_index": 4, "count": 3, "n_input": 1, "acls": [1, 2, 4294967295]}),
    ("cnat_translation_update", {"translation": {
        "vip": {"addr": "10.96.0.1", "sw_if_index": 0xFFFFFFFF, "if_af": 0, "port": 443},
        "id": 0, "ip_proto": 6, "is_real_ip": 0, "flags": 1, "lb_type": 1, "n_paths": 1, "flow_hash_config": 1,
        "paths": [{"dst_ep": {"addr": "10.244.1.2", "sw_if_index": 0xFFFFFFFF, "if_af": 0, "port": 6443},
                   "src_ep": {"addr": "0.0.0.0", "sw_if_index": 0xFFFFFFFF, "if_af": 0, "port": 0}, "flags": 0}]}}),
    ("nat44_add_del_lb_static_mapping", {"is_add": True, "flags": 8, "external_addr": "192.0.2.1",
        "external_port": 80, "protocol": 6, "affinity": 300, "local_num": 1, "tag": "svc",
        "locals": [{"addr": "10.244.1.2", "port": 8080, "probability": 50, "vrf_id": 0}]}),
    ("af_packet_create_v3", {"mode": 1, "hw_addr": "02:fe:00:00:00:09", "use_random_hw_addr": False,
        "host_if_name": "hd0", "rx_frame_size": 10240, "tx_frame_size": 10240, "rx_frames_per_block": 1024,
        "tx_frames_per_block": 1024, "flags": 1, "num_rx_queues": 1, "num_tx_queues": 2}),
    ("memif_socket_filename_add_del_v2", {"is_add": True, "socket_id": 0xFFFFFFFF, "socket_filename": "abstract:memif1"}),
    ("vxlan_add_del_tunnel_v3", {"is_add": True, "instance": 5, "src_address": "192.0.2.1", "dst_address": "192.0.2.2",
        "src_port": 4789, "dst_port": 4789, "mcast_sw_if_index": 0xFFFFFFFF, "encap_vrf_id": 0, "decap_next_index": 1,
        "vni": 10, "is_l3": True}),
    ("set_punt", {"is_add": True, "punt": {"type": 0, "punt": {"l4": {"af": 1, "protocol": 17, "port": 547}}}}),
    ("get_f64_increment_by_one", {"f64_value": 41.5}),
    ("want_interface_events", {"enable_disable": 1, "pid": 77}),
    ("sr_policy_add_v2", {"bsid_addr": "fd00::b", "weight": 1, "is_encap": True, "type": 0, "fib_table": 0,
        "encap_src": "fd00::1", "sids": {"num_sids": 2, "weight": 1,
        "sids": ["fd00::2", "fd00::3"] + ["::"] * 14}}),
]

out = []
for name, value in CASES:
    packed = vpp.messages[name].pack({"_vl_msg_id": 0, "client_index": 0, "context": 0, **value})
    out.append(json.dumps({"message": name, "value": value, "hex": bytes(packed).hex()}))
sys.stdout.write("[\n" + ",\n".join(out) + "\n]\n")
