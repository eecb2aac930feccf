// The OIDs of the extensible switch as the table of spec 4.2 has them: kind, who issues each, and who may complete it with what.
//
// The rule it must not break: what stands in no row may not be issued, and what a row does not allow has no effect (ES-248).
import { Oid } from './oids.ts'

/**
 * Who may complete a request before it reaches the miniport edge.
 * - never: every extension forwards it.
 * - veto: filtering and forwarding extensions, with an error.
 * - property: filtering extensions with an error, forwarding extensions with success too (AMB-04).
 * - owner: any extension, for its own data (AMB-48).
 * - inner: forwarding extensions, as the wrapped OID allows.
 */
export type OidCompleter = 'never' | 'veto' | 'property' | 'owner' | 'inner'

export interface OidRule {
  readonly type: 'query' | 'set' | 'method'
  readonly by: 'edge' | 'extension' | 'both'
  readonly completer: OidCompleter
  /** The rule that an extension breaks which completes the request although it may not. */
  readonly breach: string
  /** The rule that an extension breaks which issues the request although it may not. */
  readonly issue: string
}

const rule = (type: OidRule['type'], by: OidRule['by'], completer: OidCompleter, breach: string, issue = 'ES-252'): OidRule => ({
  type,
  by,
  completer,
  breach,
  issue,
})

const rules: ReadonlyMap<number, OidRule> = new Map([
  [Oid.switchParameters, rule('query', 'extension', 'never', 'ES-090')],
  [Oid.portArray, rule('query', 'extension', 'never', 'ES-090')],
  [Oid.nicArray, rule('query', 'extension', 'never', 'ES-090')],
  [Oid.portPropertyEnum, rule('method', 'extension', 'never', 'ES-096')],
  [Oid.switchPropertyEnum, rule('method', 'extension', 'never', 'ES-096')],
  [Oid.portCreate, rule('set', 'edge', 'veto', 'ES-114', 'ES-120')],
  [Oid.portUpdated, rule('set', 'edge', 'never', 'ES-123', 'ES-124')],
  [Oid.portTeardown, rule('set', 'edge', 'never', 'ES-127', 'ES-134')],
  [Oid.portDelete, rule('set', 'edge', 'never', 'ES-136', 'ES-139')],
  [Oid.nicCreate, rule('set', 'edge', 'veto', 'ES-182', 'ES-186')],
  [Oid.nicConnect, rule('set', 'edge', 'never', 'ES-188', 'ES-192')],
  [Oid.nicUpdated, rule('set', 'edge', 'never', 'ES-195', 'ES-196')],
  [Oid.nicDisconnect, rule('set', 'edge', 'never', 'ES-197', 'ES-207')],
  [Oid.nicDelete, rule('set', 'edge', 'never', 'ES-210', 'ES-212')],
  [Oid.portPropertyAdd, rule('set', 'edge', 'property', 'ES-248', 'ES-501')],
  [Oid.portPropertyUpdate, rule('set', 'edge', 'property', 'ES-248', 'ES-501')],
  [Oid.portPropertyDelete, rule('set', 'edge', 'property', 'ES-248', 'ES-501')],
  [Oid.switchPropertyAdd, rule('set', 'edge', 'property', 'ES-248')],
  [Oid.switchPropertyUpdate, rule('set', 'edge', 'property', 'ES-248')],
  [Oid.switchPropertyDelete, rule('set', 'edge', 'property', 'ES-248')],
  [Oid.portFeatureStatusQuery, rule('method', 'edge', 'owner', 'ES-248')],
  [Oid.switchFeatureStatusQuery, rule('method', 'edge', 'owner', 'ES-248')],
  [Oid.nicSave, rule('method', 'edge', 'owner', 'ES-248')],
  [Oid.nicSaveComplete, rule('set', 'edge', 'never', 'ES-248')],
  [Oid.nicRestore, rule('set', 'edge', 'owner', 'ES-248')],
  [Oid.nicRestoreComplete, rule('set', 'edge', 'never', 'ES-248')],
  [Oid.nicRequest, rule('method', 'both', 'inner', 'ES-248')],
])

/** The row of an OID; undefined for one that the switch does not know, which every extension forwards. */
export const oidRule = (oid: number): OidRule | undefined => rules.get(oid)
