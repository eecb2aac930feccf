# A host behind a port: joins and leaves multicast groups with the kernel's sockets, sends to groups, sends malformed reports, and tells what
# arrives on its interface, whether it joined or not. Commands come on standard input, one a line; each is answered by a line.
import errno
import json
import select
import socket
import struct
import sys
import time

PORT = 5001
interface = sys.argv[1]
index = socket.if_nametoindex(interface)

ears = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
ears.bind((interface, 3))
ears.setsockopt(263, 1, struct.pack("=iHH8s", index, 1, 0, b""))  # promiscuous
members = {}
heard = {}


def listen():
    while select.select([ears], [], [], 0)[0]:
        frame, where = ears.recvfrom(4096)
        if where[2] == socket.PACKET_OUTGOING:
            continue
        if frame[12:14] == b"\x08\x00" and frame[23] == 17:
            group, port = socket.inet_ntop(socket.AF_INET, frame[30:34]), frame[36:38]
        elif frame[12:14] == b"\x86\xdd" and frame[20] == 17:
            group, port = socket.inet_ntop(socket.AF_INET6, frame[38:54]), frame[56:58]
        else:
            continue
        if port == PORT.to_bytes(2, "big"):
            heard[group] = heard.get(group, 0) + 1


def membership(group, joins):
    if ":" in group:
        what = socket.IPV6_JOIN_GROUP if joins else socket.IPV6_LEAVE_GROUP
        request = socket.inet_pton(socket.AF_INET6, group) + struct.pack("=I", index)
        level, family = socket.IPPROTO_IPV6, socket.AF_INET6
    else:
        what = socket.IP_ADD_MEMBERSHIP if joins else socket.IP_DROP_MEMBERSHIP
        request = socket.inet_aton(group) + struct.pack("=4si", b"", index)
        level, family = socket.IPPROTO_IP, socket.AF_INET
    sock = members.pop(group, None) or socket.socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(level, what, request)
    if joins:
        members[group] = sock


# The kernel first makes sure that nobody else has the address of an interface that came up.
def patient(sends):
    for _ in range(300):
        try:
            return sends()
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
            time.sleep(0.1)
    raise TimeoutError("the interface got no address in 30 s")


def send(group, count):
    family = socket.AF_INET6 if ":" in group else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        where = (group, PORT, 0, index)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", b"", b"", index))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        where = (group, PORT)
    for _ in range(count):
        patient(lambda: sock.sendto(b"x" * 64, where))


def malformed():
    from scapy.all import IP, Ether, IPv6, Raw, conf
    from scapy.contrib.igmp import IGMP
    from scapy.layers.inet6 import ICMPv6MLReport2, ICMPv6MLDMultAddrRec, IPv6ExtHdrHopByHop, RouterAlert

    mac = open(f"/sys/class/net/{interface}/address").read().strip()
    four = Ether(src=mac, dst="01:00:5e:01:02:03") / IP(src="198.51.100.1", dst="239.1.2.3", ttl=1)
    six = Ether(src=mac, dst="33:33:00:00:00:16") / IPv6(src="fe80::1", dst="ff02::16", hlim=1)
    six = six / IPv6ExtHdrHopByHop(options=[RouterAlert()])
    record = ICMPv6MLDMultAddrRec(rtype=4, dst="ff15::77")
    far = four.copy()
    far[IP].ttl = 64
    frames = [
        four / IGMP(type=0x16, gaddr="239.1.2.3", chksum=0x1234),
        far / IGMP(type=0x16, gaddr="239.1.2.3"),
        Ether(src=mac, dst="01:00:5e:01:02:03") / IP(src="198.51.100.1", dst="239.1.2.3", ttl=1, proto=2, len=26) / Raw(b"\x16\0\xe9\xff\xef\x01"),
        Ether(src=mac, dst="01:00:5e:00:00:16") / IP(src="198.51.100.1", dst="224.0.0.22", ttl=1, proto=2) / Raw(b"\x22\0\xdd\xfd\0\0\0\x20\0\0\0\0"),
        six / ICMPv6MLReport2(records=[record], cksum=0x4321),
        six / ICMPv6MLReport2(records=[record], records_number=9),
    ]
    sock = conf.L2socket(iface=interface)
    for frame in frames:
        sock.send(frame)
    return len(frames)


print("ready", flush=True)
for line in sys.stdin:
    command, *words = line.split()
    answer = None
    if command == "join" or command == "leave":
        membership(words[0], command == "join")
    elif command == "send":
        send(words[0], int(words[1]))
    elif command == "malformed":
        answer = malformed()
    elif command == "heard":
        listen()
        answer = heard
        heard = {}
    print(json.dumps(answer), flush=True)
