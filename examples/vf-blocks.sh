#!/bin/sh
# vf-blocks: configuration blocks of a virtual function, from inside the guest, through the mailbox of the function's registers.
# Needs root and busybox (devmem), nothing else; no driver may use the mailbox at the same time.
#   vf-blocks read BLOCK LENGTH     prints up to 128 bytes in hexadecimal
#   vf-blocks write BLOCK HEX       writes up to 128 bytes
#   vf-blocks await                 waits for the blocks to change, prints the mask
# The function is the first Intel 82576 VF, or $VF (0000:00:03.0). Exit status 1: the physical function refused.
if [ -z "$VF" ]; then
  for path in /sys/bus/pci/devices/*; do
    [ "$(cat "$path/vendor")$(cat "$path/device")" = 0x80860x10ca ] && VF=${path##*/} && break
  done
fi
device=/sys/bus/pci/devices/$VF
[ -n "$VF" ] && [ -e "$device/resource" ] || { echo "vf-blocks: there is no virtual function" >&2; exit 2; }
[ "$(cat "$device/enable")" = 0 ] && echo 1 >"$device/enable"
read -r base _ <"$device/resource"

MEMORY=0x800 CONTROL=0xc40 POLLS=${POLLS:-2000}
REQ=1 ACK=2 OWN=4 MESSAGE=16
HELLO=0x1 READ=0x40 WRITE=0x41 AWAIT=0x42 CHANGED=0x101 CLEAR_TO_SEND=0x20000000
PIECE=52

get() { devmem $((base + $1)) 32; }
put() { devmem $((base + $1)) 32 "$2"; }
fail() { echo "vf-blocks: $1" >&2; exit "${2:-2}"; }

lock() {
  polls=0
  while put $CONTROL $OWN; [ $(($(get $CONTROL) & OWN)) = 0 ]; do
    polls=$((polls + 1)); [ $polls -lt $POLLS ] || fail "the mailbox is not given to us"
  done
}

# Sends the words of the message; leaves the first word of the answer in $answer, and the mailbox locked.
ask() {
  lock
  at=$((MEMORY))
  for word; do put $at "$word"; at=$((at + 4)); done
  put $CONTROL $REQ
  hear
}

hear() {
  polls=0
  until [ $(($(get $CONTROL) & MESSAGE)) != 0 ]; do
    polls=$((polls + 1)); [ $polls -lt $POLLS ] || fail "the physical function does not answer"
  done
  lock
  answer=$(($(get $MEMORY)))
}

heard() { put $CONTROL $ACK; }

# As ask, for messages of ours: a function that was reset wants to be greeted first.
ask_block() {
  ask "$@"
  if [ $((answer & CLEAR_TO_SEND)) = 0 ]; then
    heard; ask $HELLO; heard; ask "$@"
  fi
  [ $((answer & 0x80000000)) != 0 ] || { heard; fail refused 1; }
}

read_block() {
  offset=0
  while [ $offset -lt "$2" ]; do
    ask_block $READ "$1" $(($2 | offset << 8))
    at=$((MEMORY + 12)) left=$(($2 - offset))
    [ $left -gt $PIECE ] && left=$PIECE
    while [ $left -gt 0 ]; do
      word=$(($(get $at))) n=0
      while [ $n -lt 4 ] && [ $left -gt 0 ]; do
        printf %02x $((word & 255)); word=$((word >> 8)) n=$((n + 1)) left=$((left - 1))
      done
      at=$((at + 4))
    done
    heard
    offset=$((offset + PIECE))
  done
  echo
}

write_block() {
  hex=$2 length=$((${#2} / 2)) offset=0
  while [ $offset -lt $length ]; do
    words=
    n=0
    while [ $n -lt 13 ] && [ -n "$hex" ]; do
      word=0 shift=0
      while [ $shift -lt 32 ] && [ -n "$hex" ]; do
        rest=${hex#??}
        word=$((word | 0x${hex%"$rest"} << shift)) shift=$((shift + 8)) hex=$rest
      done
      words="$words $word" n=$((n + 1))
    done
    ask_block $WRITE "$1" $((length | offset << 8)) $words
    heard
    offset=$((offset + PIECE))
  done
}

case $1 in
  read) read_block "$2" "$3" ;;
  write) write_block "$2" "$3" ;;
  await)
    ask_block $AWAIT
    heard
    POLLS=1000000
    hear
    while [ $((answer & 0xffff)) != $((CHANGED)) ]; do heard; hear; done # it speaks of the link too
    printf '%08x%08x\n' $(($(get $((MEMORY + 8))))) $(($(get $((MEMORY + 4)))))
    heard
    ;;
  *) sed -n '2,/^$/{/^#/!d;s/^# \{0,1\}//;p}' "$0"; exit 2 ;;
esac
