# One side of a TCP connection through stateful rules, and an attacker of it. Words are read from standard input, a line at a time.
#   serve ADDRESS PORT        takes connections; what is said to it goes to the last one
#   talk ADDRESS PORT [WAIT]  connects; says "connected PORT" or, after WAIT seconds, "refused", then sends each line and says what comes back; of
#                             the line "hear" nothing is sent, of "quiet" neither, and it waits for QUIET_SECONDS
#   reset INTERFACE FROM-MAC TO-MAC FROM TO FROM-PORT TO-PORT   sends RST and RST/ACK with numbers all over the place
import socket
import sys

WAIT_SECONDS = 20
QUIET_SECONDS = 1.5


def say(text):
    print(text, flush=True)


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(address, port):
    listener = socket.socket(family(address), socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, int(port)))
    listener.listen()
    say("ready")
    connection, _ = listener.accept()
    connection.settimeout(WAIT_SECONDS)
    for line in sys.stdin:
        if line.strip() == "answer":
            try:
                data = connection.recv(100)
                connection.sendall(data)
                say(data.decode())
            except TimeoutError:
                say("nothing")
        else:
            connection.sendall(line.strip().encode())
            say("sent")


def talk(address, port, wait=WAIT_SECONDS):
    connection = socket.socket(family(address), socket.SOCK_STREAM)
    connection.settimeout(float(wait))
    try:
        connection.connect((address, int(port)))
    except OSError:
        say("refused")
        return
    say(f"connected {connection.getsockname()[1]}")
    for line in sys.stdin:
        text = line.strip()
        connection.settimeout(QUIET_SECONDS if text == "quiet" else WAIT_SECONDS)
        if text not in ("hear", "quiet"):
            connection.sendall(text.encode())
        try:
            say(connection.recv(100).decode() or "closed")
        except TimeoutError:
            say("nothing")
        except ConnectionResetError:
            say("reset")


def reset(interface, from_mac, to_mac, source, destination, from_port, to_port):
    from scapy.all import IP, TCP, Ether, IPv6, sendp

    ip = IPv6(src=source, dst=destination) if ":" in source else IP(src=source, dst=destination)
    frames = [
        Ether(src=from_mac, dst=to_mac) / ip / TCP(sport=int(from_port), dport=int(to_port), flags=flags, seq=seq, ack=1)
        for seq in [(n * 0x10000001) & 0xFFFFFFFF for n in range(32)]
        for flags in ("R", "RA")
    ]
    sendp(frames, iface=interface, verbose=False)


{"serve": serve, "talk": talk, "reset": reset}[sys.argv[1]](*sys.argv[2:])
