// A switch in one's own process: two ports, an extension, a frame from one to the other, what happened, and what it counted.
import { createSwitch } from 'vmswitch'

const ports = ['a', 'b'].map((name) => ({ name, endpoint: { kind: 'memory' as const } }))
const lab = await createSwitch({ switch: { name: 'embedded', extensions: [{ use: 'counters' }], ports } })
const [a, b] = await Promise.all([lab.peer('a'), lab.peer('b')])
const received = new Promise<Uint8Array>((resolve) => b.onFrame(resolve))
a.send(Buffer.from(`ffffffffffff525400000001${'88b5'.padEnd(96, '0')}`, 'hex'))
console.log(`b received ${(await received).length} bytes`)
await lab.setLink('b', false)
for await (const { code } of lab.events({ after: 0, kinds: ['link'] })) if (code === 'link-down') break
console.log((await lab.ports()).map(({ name, link, counters }) => `${name}: ${link}, ${counters.receivedFrames} frames from it`))
await lab.close()
