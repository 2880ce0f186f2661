"""A Modbus server by pymodbus, as an independent peer of the driver.

usage: modbus_server.py tcp | rtu-over-tcp | rtu PATH | ascii PATH

Prints `ready PORT` (0 for serial lines) and serves units 1 and 2 until its standard input ends.
Unit 1: coils and discrete inputs 0-31, odd ones on; holding registers 0-59, each its own address, but
20-21 hold 23.4 as a 32-bit real, low word first; input registers 0-9 hold 1000 and up. Everything else
is an illegal data address. Unit 2: holding registers 0-9, each 200 plus its address.
"""

import asyncio
import sys

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def bits(count):
    return [SimData(0, values=[i % 2 == 1 for i in range(count)], datatype=DataType.BITS)]


def words(values):
    return [SimData(0, values=values, datatype=DataType.REGISTERS)]


def devices():
    holding = list(range(60))
    holding[20:22] = [0x3333, 0x41BB]
    first = SimDevice(1, simdata=(bits(32), bits(32), words(holding), words([1000 + i for i in range(10)])))
    second = SimDevice(2, simdata=(bits(16), bits(16), words([200 + i for i in range(10)]), words([0])))
    return [first, second]


async def main():
    kind, *where = sys.argv[1:]
    if kind == "tcp":
        server = ModbusTcpServer(devices(), address=("127.0.0.1", 0))
    elif kind == "rtu-over-tcp":
        server = ModbusTcpServer(devices(), framer=FramerType.RTU, address=("127.0.0.1", 0))
    else:
        framer = FramerType.RTU if kind == "rtu" else FramerType.ASCII
        server = ModbusSerialServer(devices(), framer=framer, port=where[0], baudrate=115200)
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1] if "tcp" in kind else 0
    print(f"ready {port}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.shutdown()


asyncio.run(main())
