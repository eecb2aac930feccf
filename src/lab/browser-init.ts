// What makes a kernel and busybox a guest in a browser tab: `init` brings it up as its kernel command line says, and a shell on the
// serial line is what the person in front of the tab types to.
import { GuestPort } from './guest-init.ts'

/** Words of the kernel command line that spare a guest without disks, ACPI and plugged cards what it would look for. */
export const BROWSER_KERNEL_WORDS = [
  'console=ttyS0',
  // Errors of an emulated machine that lacks tables of a real one are nothing that a person in front of the tab could mend.
  'quiet',
  'loglevel=2',
  'tsc=reliable',
  'nokaslr',
  'noisapnp',
  'isapnp.disable=1',
  'pnpbios=off',
  'lsm=',
  'apparmor=0',
  'cryptomgr.notests',
  'nolapic',
  'mitigations=off',
  'random.trust_cpu=on',
  // Half a second of tracing that nobody asks for.
  'initcall_blacklist=init_kprobe_trace,trace_eval_init',
] as const

/** The prompt of the shell that says that the guest is up. */
export const browserPrompt = (name: string): string => `${name}:/# `

export const browserInit = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t tmpfs tmp /tmp
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ TERM=vt100
release=$(uname -r)
for module in $(cat /lib/modules/$release/at-boot); do insmod /lib/modules/$release/$module.ko || echo "init: $module does not load"; done
ip link set lo up
hostname guest
for word in $(cat /proc/cmdline); do
  value=\${word#*=}
  case "$word" in
    vmswitch.name=*) hostname "$value" ;;
    vmswitch.mac0=*) ip link set eth0 address "$value" ;;
    vmswitch.mtu0=*) ip link set eth0 mtu "$value" ;;
    vmswitch.up0=*) ip link set eth0 up ;;
    vmswitch.ip0=*) ip link set eth0 up; ip address add "$value" dev eth0 ;;
    vmswitch.dhcp0=*) ip link set eth0 up; udhcpc -i eth0 -b -q -t 5 -T 2 -A 5 ;;
  esac
done
nc -ll -p ${GuestPort.echo} -e /bin/cat </dev/null &
cd /
stty -F /dev/ttyS0 rows 24 cols 100
export PS1='\\h:\\w# '
while :; do setsid cttyhack sh; done </dev/ttyS0 >/dev/ttyS0 2>&1
`
