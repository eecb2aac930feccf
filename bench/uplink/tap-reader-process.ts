// The reader of the bridge's TAP in the uplink benchmark: what QEMU's tap back-end does for a guest, without the guest. It makes the TAP
// that its first argument names, with the header of virtio-net before each frame as QEMU has it, and reads one frame a call into guest-like
// buffers while there are any; then it waits. It prints one line when the TAP is there, and ends with its input.
import { EpollSet } from '../../src/linux/epoll.ts'
import { closeFd } from '../../src/linux/files.ts'
import { addressOf, sys } from '../../src/linux/libc.ts'
import { openTap } from '../../src/linux/tap.ts'

const HEADER_BYTES = 12
const BUFFER_BYTES = 2048
const BUFFERS = 1024
const READS_PER_TURN = 20_000
const WAIT_MS = 20

const { fd } = openTap(process.argv[2] ?? '', HEADER_BYTES, false)
const buffers = new Uint8Array(BUFFERS * BUFFER_BYTES)
const base = addressOf(buffers)
const epoll = new EpollSet()
epoll.add(fd)
process.stdin.on('end', () => {
  closeFd(fd)
  process.exit()
})
process.stdin.resume()
process.stdout.write('ready\n')

for (let next = 0; ; ) {
  for (let reads = 0; reads < READS_PER_TURN; reads++) {
    if (sys.readAt(fd, base + next * BUFFER_BYTES, BUFFER_BYTES) > 0) next = (next + 1) % BUFFERS
    else if (epoll.wait(WAIT_MS) === 0) break
  }
  await new Promise((resolve) => setImmediate(resolve))
}
