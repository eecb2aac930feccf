// The two scripts that make a kernel and busybox a lab guest: `init` brings it up, `agent` runs commands for the host. Plain text
// for the guest's ash; the host's side of the agent's protocol is agent.ts.
//
// The rule they must not break: whatever a command does (hang, fill its output, kill its shell), the agent goes on answering.

/** TCP services that every guest offers. */
export const GuestPort = {
  /** Sends back what it gets. */
  echo: 7,
  /** Swallows what it gets. */
  sink: 9,
  /** Takes bytes until the sender closes, then answers `bytes seconds sha256`. */
  receive: 5001,
} as const

export const guestInit = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t tmpfs tmp /tmp
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp
exec </dev/null >/dev/ttyS0 2>&1
release=$(uname -r)
for module in $(cat /lib/modules/$release/at-boot); do insmod /lib/modules/$release/$module.ko || echo "init: $module does not load"; done
ip link set lo up
sysctl -q -w net.ipv4.ip_local_port_range="20000 59999"
for word in $(cat /proc/cmdline); do
  value=\${word#*=}
  case "$word" in
    vmswitch.name=*) hostname "$value" ;;
    vmswitch.mtu[0-9]*=*) key=\${word%%=*}; ip link set eth\${key#vmswitch.mtu} mtu "$value" ;;
    vmswitch.up[0-9]*=*) key=\${word%%=*}; ip link set eth\${key#vmswitch.up} up ;;
    vmswitch.ip[0-9]*=*) key=\${word%%=*}; ip address add "$value" dev eth\${key#vmswitch.ip} ;;
  esac
done
nc -ll -p ${GuestPort.echo} -e /bin/cat </dev/null &
nc -ll -p ${GuestPort.sink} -e /sbin/sink </dev/null &
nc -ll -p ${GuestPort.receive} -e /sbin/receive </dev/null &
for port in /sys/class/virtio-ports/*; do
  [ "$(cat $port/name)" = vmswitch.agent ] && /sbin/agent 0<>/dev/\${port##*/} 1>&0 2>/dev/ttyS0
done
echo "init: the agent has ended"
poweroff -f
`

export const guestSink = `#!/bin/sh
exec cat >/dev/null
`

// The file is hashed after the clock has stopped: the figure is the network's, not sha256sum's.
export const guestReceive = `#!/bin/sh
file=/tmp/received.$$
read start _ </proc/uptime
cat >$file
read end _ </proc/uptime
set -- $(sha256sum $file)
hash=$1
set -- $(wc -c $file)
echo "$1 $(echo "$end $start" | awk '{print $1 - $2}') $hash"
rm -f $file
`

/** What udhcpc does with what it is told, where busybox looks for it. */
export const guestDhcp = `#!/bin/sh
[ "$1" = deconfig ] && exec ip link set "$interface" up
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip address replace "$ip/$mask" broadcast "\${broadcast:-+}" dev "$interface"
[ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
for via in $router; do ip route replace default via "$via" dev "$interface"; done
[ -n "$domain" ] && echo "search $domain" >/etc/resolv.conf || : >/etc/resolv.conf
for server in $dns; do echo "nameserver $server" >>/etc/resolv.conf; done
`

// One request a line: "id seconds base64-of-command". One answer a line: "= id exit-code base64-of-output". Commands run beside each other;
// a folder made and removed is the lock that keeps their answers whole.
export const guestAgent = `#!/bin/sh
answer() {
  until mkdir /tmp/agent.lock 2>/dev/null; do usleep 2000; done
  printf '= %s %s ' "$1" "$2"
  base64 -w 0 "$3"
  printf ' .\\n'
  rmdir /tmp/agent.lock
}
serve() {
  out=/tmp/agent.$1
  printf '%s' "$3" | base64 -d >$out.sh
  timeout -s KILL "$2" sh $out.sh </dev/null >$out 2>&1
  code=$?
  answer "$1" $code $out
  rm -f $out $out.sh
}
printf '= ready %s .\\n' "$(uname -r)"
while read -r id seconds command; do
  [ -n "$command" ] && serve "$id" "$seconds" "$command" </dev/null &
done
`
