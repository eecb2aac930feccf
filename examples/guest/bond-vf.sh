#!/bin/sh
# Joins the two virtio cards of a guest, the synthetic one and the virtual function (iov.form: vhost-user), to one interface by
# bonding: traffic goes through the function while that has a link, else through the synthetic card. Runs on busybox and on iproute2.
#
#   bond-vf.sh                 finds the two cards: both have the same address
#   bond-vf.sh eth0 eth1       the synthetic card, the function
#   bond-vf.sh watch           goes on, and takes in a function that is plugged in later
#
# BOND names the interface that it makes (bond0). Addresses and the default route of the cards move to it.
set -eu
bond=${BOND:-bond0}
net=/sys/class/net

fail() { echo "bond-vf: $*" >&2; exit 1; }
device_of() { readlink -f "$net/$1/device" 2>/dev/null || true; }
# A function that can be unplugged stands behind a root port, the synthetic card does not: its path is the longer one.
depth() { device_of "$1" | tr -cd / | wc -c; }

cards() { # names of virtio cards, the synthetic one first
  for path in "$net"/*; do
    name=${path##*/}
    case $(device_of "$name") in */virtio*) echo "$(depth "$name") $name" ;; esac
  done | sort -n | while read -r _ name; do echo "$name"; done
}

find_pair() { # sets synthetic and function to two cards of one address; function is empty while there is none
  synthetic='' function=''
  for one in $(cards); do
    for other in $(cards); do
      if [ "$one" != "$other" ] && [ "$(cat "$net/$one/address")" = "$(cat "$net/$other/address")" ]; then
        synthetic=$one function=$other
        return
      fi
    done
  done
}

make_bond() {
  [ -d "$net/$bond" ] && return
  for module in tls bonding; do modprobe "$module" 2>/dev/null || true; done
  [ -e "$net/bonding_masters" ] || fail 'this kernel has no bonding: load the module bonding'
  [ -d "$net/$bond" ] || echo "+$bond" >"$net/bonding_masters" # the module itself makes bond0
  echo active-backup >"$net/$bond/bonding/mode"
  echo 100 >"$net/$bond/bonding/miimon"
  echo 1 >"$net/$bond/bonding/all_slaves_active" # frames on their way when traffic moves are taken on either card
}

join() { # of the card $1: into the bond, with its addresses and default route
  grep -qw "$1" "$net/$bond/bonding/slaves" && return
  addresses=$(ip -4 address show dev "$1" | while read -r word value _; do [ "$word" != inet ] || echo "$value"; done)
  gateway=$(ip -4 route show default dev "$1" 2>/dev/null | while read -r _ via value _; do [ "$via" != via ] || echo "$value"; done)
  ip address flush dev "$1"
  ip link set dev "$1" down
  echo "+$1" >"$net/$bond/bonding/slaves"
  ip link set dev "$bond" up
  for address in $addresses; do ip address add "$address" dev "$bond" 2>/dev/null || true; done
  [ -z "$gateway" ] || ip route add default via "$gateway" dev "$bond" 2>/dev/null || true
}

prefer() { # the card $1 carries the traffic whenever it has a link
  [ "$(cat "$net/$bond/bonding/primary")" = "$1" ] || echo "$1" >"$net/$bond/bonding/primary"
}

watching=''
[ "${1:-}" = watch ] && { watching=yes; shift; }
if [ $# -eq 2 ]; then
  synthetic=$1 function=$2
elif [ $# -eq 0 ]; then
  find_pair
else
  fail 'give the synthetic card and the function, or nothing'
fi
[ -n "$watching" ] || [ -n "$function" ] || fail 'there are no two virtio cards of one address'

while :; do
  if [ -n "$function" ] && [ -d "$net/$function" ]; then
    make_bond
    join "$synthetic"
    if [ -n "$watching" ]; then
      { join "$function" && prefer "$function"; } 2>/dev/null || true # it may go while it is taken in: another one will come
    else
      join "$function"
      prefer "$function"
    fi
  fi
  [ -n "$watching" ] || break
  sleep 0.1 2>/dev/null || sleep 1
  [ -n "$function" ] && [ -d "$net/$function" ] || find_pair
done
echo "bond-vf: $bond joins $synthetic (synthetic) and $function (virtual function, preferred)"
