# The other end of a team of uplinks: counts numbered frames on an interface, or sends broadcast ones. Plain sockets, no scapy.
import socket
import sys
import time

ETHERTYPE = 0x88B5
BROADCAST = b"\xff" * 6


def opened(interface):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
    sock.bind((interface, ETHERTYPE))
    return sock


def hear(interface):
    sock = opened(interface)
    print("ready", flush=True)
    while True:
        frame = sock.recv(2048)
        if sock.type and frame[14:18] == b"seq ":
            text = frame[18:30].split(b"\0")[0].decode()
            print(text, flush=text == "end")
            if text == "end":
                return


def call(interface, count):
    sock = opened(interface)
    mac = bytes.fromhex(open(f"/sys/class/net/{interface}/address").read().strip().replace(":", ""))
    for number in range(count):
        frame = BROADCAST + mac + ETHERTYPE.to_bytes(2, "big") + f"call {number}".encode()
        sock.send(frame.ljust(60, b"\0"))
        time.sleep(0.002)


if sys.argv[1] == "hear":
    hear(sys.argv[2])
else:
    call(sys.argv[2], int(sys.argv[3]))
