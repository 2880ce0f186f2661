"""A Modbus server by pymodbus with functions beside the four tables.

usage: modbus_functions.py tcp | rtu-over-tcp

Prints `ready PORT` and serves unit 1 until its standard input ends. Identification (43/14): vendor "Example Works",
product code "EX-200", revision "1.24". Exception status (7): what pymodbus has, 0. Function 0x42 without data sets
the holding register 0 to 0 and answers nothing but itself; function 0x65 with the bytes 1 2 and a 16-bit number puts
that into register 1 and answers one byte, 0; function 0x66 answers registers 1 and 2 as four bytes.
Holding registers 0-9 hold 100 plus their address.
"""

import asyncio
import struct
import sys

from pymodbus import FramerType, ModbusDeviceIdentification
from pymodbus.pdu import ModbusPDU
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


class Answer(ModbusPDU):
    """An answer of given bytes."""

    def __init__(self, function, data, request):
        super().__init__(dev_id=request.dev_id, transaction_id=request.transaction_id)
        self.function_code = function
        self.data = data

    def encode(self):
        return self.data


class Reset(ModbusPDU):
    function_code = 0x42
    rtu_frame_size = 4

    async def datastore_update(self, context, device_id):
        await context.async_setValues(device_id, 16, 0, [0])
        return Answer(self.function_code, b"", self)


class Set(ModbusPDU):
    function_code = 0x65
    rtu_frame_size = 8

    def decode(self, data):
        self.data = data

    async def datastore_update(self, context, device_id):
        one, two, number = struct.unpack(">BBH", self.data)
        assert (one, two) == (1, 2)
        await context.async_setValues(device_id, 16, 1, [number])
        return Answer(self.function_code, b"\0", self)


class Get(ModbusPDU):
    function_code = 0x66
    rtu_frame_size = 4

    async def datastore_update(self, context, device_id):
        words = await context.async_getValues(device_id, 3, 1, 2)
        return Answer(self.function_code, struct.pack(">HH", *words), self)


async def main():
    bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    words = [SimData(0, values=[100 + i for i in range(10)], datatype=DataType.REGISTERS)]
    device = SimDevice(1, simdata=(bits, bits, words, words))
    identity = ModbusDeviceIdentification(
        info_name={"VendorName": "Example Works", "ProductCode": "EX-200", "MajorMinorRevision": "1.24"}
    )
    framer = FramerType.RTU if sys.argv[1] == "rtu-over-tcp" else FramerType.SOCKET
    server = ModbusTcpServer(
        [device], framer=framer, identity=identity, address=("127.0.0.1", 0), custom_pdu=[Reset, Set, Get]
    )
    await server.serve_forever(background=True)
    print(f"ready {server.transport.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.shutdown()


asyncio.run(main())
