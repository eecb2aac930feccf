// Look-ups in MAC tables (src/switch/mac-table.ts) in linear memory.
//
// The rule it must not break: a reader may meet a writer, so whoever uses an entry's port reads its key again afterwards.
import { MAC_ENTRY_BYTES, MAC_HASH_HIGH, MAC_HASH_MIX, MAC_KEY_MASK, MAC_PROBES, MAC_TABLE_HEADER } from './layout'

/** The entry of the address whose octets 2…5 are `low`; `key` has the others, the VLAN and MAC_KEY_VALID. 0: there is none. */
@inline
export function find(table: usize, mask: u32, low: u32, key: u32): usize {
  const mixed = low ^ (key * <u32>MAC_HASH_HIGH)
  let i = ((mixed ^ (mixed >>> 15)) * <u32>MAC_HASH_MIX) >>> 8
  for (let probe: u32 = 0; probe < <u32>MAC_PROBES; probe++, i++) {
    const at = table + MAC_TABLE_HEADER + <usize>(i & mask) * MAC_ENTRY_BYTES
    if ((load<u32>(at, 4) & MAC_KEY_MASK) == key && load<u32>(at) == low) return at
  }
  return 0
}
