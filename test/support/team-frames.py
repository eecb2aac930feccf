# The other end of a cable: hears numbered frames on an interface, sends broadcast ones, or counts pings. Plain sockets, no scapy.
import json
import signal
import socket
import sys
import time

ETHERTYPE = 0x88B5
BROADCAST = b"\xff" * 6


def opened(interface):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
    sock.bind((interface, ETHERTYPE))
    return sock


# Numbers of frames as they come, of bare ones and of UDP in IPv4.
def hear(interface):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.bind((interface, 3))
    print("ready", flush=True)
    while True:
        frame, sender = sock.recvfrom(2048)
        start = 42 if frame[12:14] == b"\x08\x00" else 14
        if sender[2] != socket.PACKET_OUTGOING and frame[start : start + 4] == b"seq ":
            text = frame[start + 4 : start + 16].split(b"\0")[0].decode()
            print(text, flush=True)
            if text == "end":
                return


def call(interface, count):
    sock = opened(interface)
    mac = bytes.fromhex(open(f"/sys/class/net/{interface}/address").read().strip().replace(":", ""))
    for number in range(count):
        frame = BROADCAST + mac + ETHERTYPE.to_bytes(2, "big") + f"call {number}".encode()
        sock.send(frame.ljust(60, b"\0"))
        time.sleep(0.002)


# Counts pings and their answers, those of other hosts too, until SIGTERM.
def count(interface):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.bind((interface, 3))
    sock.setsockopt(263, 1, bytes(socket.if_nametoindex(interface).to_bytes(4, sys.byteorder)) + b"\x01\0\0\0" + b"\0" * 8)
    found = {}

    def end(*_):
        print(json.dumps(found), flush=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    print("ready", flush=True)
    while True:
        frame = sock.recv(2048)
        if frame[12:14] == b"\x08\x00" and frame[23] == 1:
            kind = {8: "request", 0: "reply"}.get(frame[34])
            found[kind] = found.get(kind, 0) + 1


if sys.argv[1] == "count":
    count(sys.argv[2])
elif sys.argv[1] == "hear":
    hear(sys.argv[2])
else:
    call(sys.argv[2], int(sys.argv[3]))
