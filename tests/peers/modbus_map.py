"""A Modbus TCP server by pymodbus that holds the registers it is given, and nothing else.

usage: modbus_map.py JSON      {"holding": {"40000": [21365, 28243]}, "input": {"0": [1]}}

Prints `ready PORT` and serves unit 1 until its standard input ends.
"""

import asyncio
import json
import sys

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def words(runs):
    if not runs:
        return [SimData(65535, values=[0], datatype=DataType.REGISTERS)]
    joined = []
    for start, values in sorted((int(start), values) for start, values in runs.items()):
        if joined and joined[-1][0] + len(joined[-1][1]) == start:
            joined[-1][1].extend(values)
        else:
            joined.append((start, list(values)))
    return [SimData(start, values=values, datatype=DataType.REGISTERS) for start, values in joined]


async def main():
    tables = json.loads(sys.argv[1])
    bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    device = SimDevice(1, simdata=(bits, bits, words(tables.get("holding")), words(tables.get("input"))))
    server = ModbusTcpServer([device], address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    print(f"ready {server.transport.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.shutdown()


asyncio.run(main())
