"""Asks a simulated device as pymodbus does, and fails loudly when an answer is not the one expected.

usage: simulate_pymodbus.py tcp HOST:PORT UNIT | rtu-over-tcp HOST:PORT UNIT | rtu PATH UNIT | ascii PATH UNIT

The device is the one of tests/simulate/plant.rs.
"""

import struct
import sys

from pymodbus import FramerType
from pymodbus.client import ModbusSerialClient, ModbusTcpClient


def client_for(kind, where):
    if kind in ("tcp", "rtu-over-tcp"):
        host, port = where.rsplit(":", 1)
        framer = FramerType.SOCKET if kind == "tcp" else FramerType.RTU
        return ModbusTcpClient(host, port=int(port), framer=framer, timeout=10)
    if kind == "rtu":
        return ModbusSerialClient(where, framer=FramerType.RTU, baudrate=9600, timeout=10)
    # A pty knows neither 7 data bits nor parity.
    return ModbusSerialClient(where, framer=FramerType.ASCII, baudrate=9600, timeout=10)


def expect(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: got {got!r}, wanted {wanted!r}")


def good(what, reply):
    if reply.isError():
        sys.exit(f"{what}: {reply}")
    return reply


def refused(what, reply, code):
    if not reply.isError():
        sys.exit(f"{what}: was not refused: {reply}")
    expect(what, reply.exception_code, code)


def reads(client, unit):
    coils = good("function 1", client.read_coils(0, count=10, device_id=unit))
    expect("function 1", coils.bits[:10], [False] * 3 + [True] + [False] * 6)
    inputs = good("function 2", client.read_discrete_inputs(0, count=4, device_id=unit))
    expect("function 2", inputs.bits[:4], [False, True, False, False])
    words = good("function 4", client.read_input_registers(0, count=3, device_id=unit)).registers
    expect("function 4", words[0], 215)
    expect("function 4, f32", struct.unpack(">f", struct.pack(">HH", *words[1:]))[0], 3.25)
    words = good("function 3", client.read_holding_registers(10, count=4, device_id=unit)).registers
    expect("function 3", words, [7, 7, 7, 7])


def writes(client, unit):
    good("function 5", client.write_coil(9, True, device_id=unit))
    good("function 15", client.write_coils(0, [True, False, True], device_id=unit))
    coils = good("function 1", client.read_coils(0, count=10, device_id=unit)).bits[:10]
    expect("functions 5, 15", coils, [True, False, True, True] + [False] * 5 + [True])
    good("function 6", client.write_register(10, 0x1234, device_id=unit))
    good("function 16", client.write_registers(11, [1, 65535], device_id=unit))
    good("function 22", client.mask_write_register(address=13, and_mask=0xFFF0, or_mask=0x0005, device_id=unit))
    words = good("function 3", client.read_holding_registers(10, count=4, device_id=unit)).registers
    expect("functions 6, 16, 22", words, [0x1234, 1, 65535, 5])
    both = client.readwrite_registers(
        read_address=10, read_count=2, write_address=11, values=[4660], device_id=unit
    )
    expect("function 23", good("function 23", both).registers, [0x1234, 4660])


def refusals(client, unit):
    refused("a hole", client.read_input_registers(7, count=1, device_id=unit), 2)
    refused("beyond the end", client.read_holding_registers(13, count=2, device_id=unit), 2)
    refused("a coil that is not there", client.write_coil(10, True, device_id=unit), 2)
    refused("function 24", client.read_fifo_queue(address=10, device_id=unit), 1)


def main():
    kind, where, unit = sys.argv[1], sys.argv[2], int(sys.argv[3])
    client = client_for(kind, where)
    if not client.connect():
        sys.exit(f"no connection to {where}")
    reads(client, unit)
    writes(client, unit)
    refusals(client, unit)
    client.close()
    print("all answers as expected")


main()
