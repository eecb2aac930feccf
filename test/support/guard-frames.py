#!/usr/bin/python3
"""Frames for the test of port guards, crafted by scapy, sent and heard through two interfaces.

guard-frames.py list              names of the frames and the reason for which each is to be dropped ("" = it passes), as JSON
guard-frames.py send INTERFACE    sends them, then a frame that ends the hearing
guard-frames.py hear INTERFACE    says "ready", hears until that frame, prints what came as JSON

A frame is known by its destination address, a group of its own.
"""
import json
import socket
import sys

from scapy.all import (
    ARP, BOOTP, DHCP, DHCP6_Advertise, DHCP6_Reply, DHCP6_Solicit, Dot1Q, Ether, ICMP, ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS,
    ICMPv6ND_RA, ICMPv6ND_Redirect, ICMPv6ND_RS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IP, IPv6, IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, LLC, PadN, Raw, SNAP, UDP, conf, fragment, fragment6,
)

MAC, OTHER_MAC = "02:00:00:00:77:01", "02:00:00:00:77:02"
OWN4, OWN6, OWN_LINK = "10.77.0.1", "fd00:77::1", "fe80::ff:fe00:7701"
OTHER4, OTHER6 = "10.77.0.2", "fd00:77::2"
STORM_FRAMES = 50
END = 255


def arp(sender, operation, mac=MAC):
    return ARP(op=operation, hwsrc=mac, psrc=sender, pdst="10.77.0.9")


def options():
    return IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 12)])


ip, ip6 = IP(src=OWN4, dst="10.77.0.9"), IPv6(src=OWN6, dst="ff02::1")
link6 = IPv6(src=OWN_LINK, dst="ff02::1")
offer = UDP(sport=67, dport=68) / BOOTP(op=2) / DHCP(options=[("message-type", "offer"), "end"])
discover = UDP(sport=68, dport=67) / BOOTP(op=1) / DHCP(options=[("message-type", "discover"), "end"])
advertise, solicit = UDP(sport=547, dport=546) / DHCP6_Advertise(), UDP(sport=546, dport=547) / DHCP6_Solicit()
ra = ICMPv6ND_RA()
split4 = fragment(ip / UDP(sport=67, dport=68) / Raw(b"o" * 600), fragsize=296)
split6 = fragment6(IPv6(src=OWN_LINK, dst="ff02::1") / IPv6ExtHdrFragment() / ra / Raw(b"r" * 1600), 800)
hidden6 = link6 / IPv6ExtHdrFragment(nh=60, m=1) / IPv6ExtHdrDestOpt(nh=58, options=[PadN(optdata=b"\0" * 4)])

CASES = {
    "dhcp-guard": {
        "offer": ip / offer,
        "ADVERTISE": link6 / advertise,
        "REPLY behind options": link6 / options() / UDP(sport=547, dport=546) / DHCP6_Reply(),
        "offer in a first fragment": split4[0],
        "offer behind IPv4 options": IP(src=OWN4, dst="10.77.0.9", options=[b"\x01" * 8]) / offer,
    },
    "router-guard": {
        "RA": link6 / ra,
        "redirect": link6 / ICMPv6ND_Redirect(),
        "RA behind two headers": link6 / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) / options() / ra,
        "RA in a first fragment": split6[0],
        "ICMPv6 whose type is in the next fragment": hidden6,
        "ICMP redirect": ip / ICMP(type=5, code=1, gw=OWN4),
        "IRDP": ip / ICMP(type=9),
    },
    "source-guard": {
        "IPv4 of another": IP(src=OTHER4, dst="10.77.0.9") / UDP(),
        "IPv6 of another": IPv6(src=OTHER6, dst="ff02::1") / ICMPv6EchoRequest(),
        "NA for another": ip6 / ICMPv6ND_NA(tgt=OTHER6),
        "ARP of another": arp(OTHER4, 1),
        "ARP reply for another": arp(OTHER4, 2),
        "ARP reply with another's MAC": arp(OWN4, 2, OTHER_MAC),
        "NA with another's MAC": ip6 / ICMPv6ND_NA(tgt=OWN6, O=1) / ICMPv6NDOptDstLLAddr(lladdr=OTHER_MAC),
        "RS with another's MAC": link6 / ICMPv6ND_RS() / ICMPv6NDOptSrcLLAddr(lladdr=OTHER_MAC),
    },
    "": {
        "discover": IP(src="0.0.0.0", dst="255.255.255.255") / discover,
        "SOLICIT": link6 / solicit,
        "RS": link6 / ICMPv6ND_RS(),
        "NS": ip6 / ICMPv6ND_NS(tgt=OTHER6),
        "NA": ip6 / ICMPv6ND_NA(tgt=OWN6) / ICMPv6NDOptDstLLAddr(lladdr=MAC),
        "IGMP report without an address": IP(src="0.0.0.0", dst="224.0.0.251", proto=2) / Raw(b"\x16\0\0\0\xe0\0\0\xfb"),
        "ARP": arp(OWN4, 1),
        "echo": ip / ICMP(),
        "echo of IPv6": ip6 / options() / ICMPv6EchoRequest(),
        "later fragment": split4[1],
        "later fragment of IPv6": split6[1],
    },
}


def frames():
    """(name, reason, frame) of all cases, plain and tagged."""
    plain = [(name, reason, packet) for reason, group in CASES.items() for name, packet in group.items()]
    made = []
    for name, reason, packet in plain:
        for label, tags in (("", ()), (", tagged", (7,)), (", tagged twice", (7, 8))):
            made.append((name + label, reason, tags, packet))
    out = []
    for number, (name, reason, tags, packet) in enumerate(made):
        frame = Ether(src=MAC, dst="33:33:77:00:00:%02x" % number)
        for tag in tags:
            frame = frame / Dot1Q(vlan=tag)
        out.append((name, reason, bytes(frame / packet)))
    snap = LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0, code=0x0800) / ip / offer
    address = bytes.fromhex("33337700%04x" % len(out)) + bytes.fromhex(MAC.replace(":", ""))
    out.append(("offer behind SNAP", "dhcp-guard", address + len(snap).to_bytes(2, "big") + bytes(snap)))
    assert len(out) < END
    return out


def send(interface):
    link = conf.L2socket(iface=interface)
    raw = lambda data: link.send(Raw(data))
    for _, _, data in frames():
        raw(data)
    storm = Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff", type=0x88B5) / Raw(b"storm" * 10)
    for _ in range(STORM_FRAMES):
        raw(bytes(storm))
    raw(bytes(Ether(src=MAC, dst="33:33:77:00:00:%02x" % END, type=0x88B5) / Raw(b"end" * 20)))


def hear(interface):
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    link.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE
    link.bind((interface, 0))
    link.settimeout(15)
    print("ready", flush=True)
    names = [name for name, _, _ in frames()]
    heard, storm = [], 0
    while True:
        data = link.recv(65536)
        if data[:6] == b"\xff" * 6 and data[6:12] == bytes.fromhex(MAC.replace(":", "")):
            storm += 1
        elif data[:5] == b"\x33\x33\x77\x00\x00":
            if data[5] == END:
                break
            heard.append(names[data[5]])
    print(json.dumps({"heard": heard, "storm": storm}))


if sys.argv[1] == "list":
    print(json.dumps({"frames": [{"name": name, "reason": reason} for name, reason, _ in frames()], "storm": STORM_FRAMES}))
elif sys.argv[1] == "send":
    send(sys.argv[2])
else:
    hear(sys.argv[2])
