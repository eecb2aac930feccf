// Ids are the lowest free ones (PD-09); an id is free again when the request that freed it has completed.

/** The lowest id of `first`…`last` that is not taken, or -1. */
export function lowestFree(first: number, last: number, taken: (id: number) => boolean): number {
  for (let id = first; id <= last; id++) if (!taken(id)) return id
  return -1
}
