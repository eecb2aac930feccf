# One side of known traffic between two network namespaces.
#   flow-traffic.py sink PORT           takes datagrams and connections on PORT until its input ends
#   flow-traffic.py udp ADDRESS PORT SOURCE COUNT BYTES
#   flow-traffic.py raw INTERFACE COUNT HEX: a frame as it is
#   flow-traffic.py tcp ADDRESS PORT SOURCE BYTES
import socket, sys, threading, time


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def swallow(connection):
    while connection.recv(1 << 16):
        pass
    connection.close()


def accept(server):
    while True:
        threading.Thread(target=swallow, args=(server.accept()[0],), daemon=True).start()


def sink(port):
    held = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    held.bind(("::", port))
    server = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    server.bind(("::", port))
    server.listen()
    threading.Thread(target=accept, args=(server,), daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


def udp(address, port, source, count, size):
    out = socket.socket(family(address), socket.SOCK_DGRAM)
    out.bind(("", source))
    for _ in range(count):
        out.sendto(bytes(size), (address, port))
        time.sleep(0.0005)


def tcp(address, port, source, size):
    out = socket.socket(family(address), socket.SOCK_STREAM)
    out.bind(("", source))
    out.connect((address, port))
    out.sendall(bytes(size))
    out.shutdown(socket.SHUT_WR)
    out.recv(1)


def raw(interface, count, frame):
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    out.bind((interface, 0))
    for _ in range(count):
        out.send(frame)
        time.sleep(0.0005)


what, *words = sys.argv[1:]
if what == "sink":
    sink(int(words[0]))
elif what == "raw":
    raw(words[0], int(words[1]), bytes.fromhex(words[2]))
else:
    (udp if what == "udp" else tcp)(words[0], *map(int, words[1:]))
