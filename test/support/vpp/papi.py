"""Packs messages with VPP's own Python client: reads lines of {"message": …, "value": …}, prints one line of hex each.

    python3 papi.py <directory of *.api.json>
"""

import json
import sys

from vpp_papi import VPPApiClient
from vpp_papi.vpp_papi import VPPApiJSONFiles


def decode(value):
    if "$bytes" in value:
        return bytes.fromhex(value["$bytes"])
    if "$int" in value:
        return int(value["$int"])
    if "$float" in value:
        return float(value["$float"].replace("Infinity", "inf"))
    return value


files = VPPApiJSONFiles.find_api_files(api_dir=sys.argv[1])
client = VPPApiClient(apifiles=files, server_address="/nonexistent")
header = {"_vl_msg_id": 0, "client_index": 0, "context": 0}
for line in sys.stdin:
    case = json.loads(line, object_hook=decode)
    print(bytes(client.messages[case["message"]].pack({**header, **case["value"]})).hex())
