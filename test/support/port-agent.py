#!/usr/bin/python3
"""The guest behind a port, for tests of policies: port-agent.py INTERFACE, one request a line on standard input.

send HEX    sends a frame as it is
collect     hears until the fence (a frame of ether type 88b6), prints the frames with the mark before it as a JSON list, tags put back

It says "ready" first. The kernel takes the outer tag off and tells it beside the frame.
"""
import json
import socket
import struct
import sys

MARK = b"policy-case"
FENCE = b"\x88\xb6"
SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING = 263, 8, 4
VLAN_VALID, TPID_VALID = 0x10, 0x40

link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
link.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
link.bind((sys.argv[1], 0))
link.settimeout(10)


def receive():
    while True:
        data, ancillary, _, sender = link.recvmsg(65536, 256)
        if sender[2] == PACKET_OUTGOING:
            continue
        for _, kind, value in ancillary:
            if kind != PACKET_AUXDATA:
                continue
            status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", value[:20])
            if status & VLAN_VALID:
                tag = struct.pack("!HH", tpid if status & TPID_VALID else 0x8100, tci)
                return data[:12] + tag + data[12:]
        return data


def collect():
    frames = []
    while True:
        data = receive()
        if data[12:14] == FENCE:
            return frames
        if MARK in data:
            frames.append(data.hex())


print("ready", flush=True)
for line in sys.stdin:
    verb, *rest = line.split()
    if verb == "send":
        link.send(bytes.fromhex(rest[0]))
    else:
        print(json.dumps(collect()), flush=True)
