// The audit trail of commands that run a switch.
import { type AuditRecord, auditText } from '../manage/control/access.ts'
import type { Terminal } from './terminal.ts'

/** Who changed what, beside the events: it is for the journal. */
export const auditLog =
  (terminal: Terminal) =>
  (record: AuditRecord): void => {
    if (terminal.json) terminal.line(JSON.stringify({ event: 'audit', ...record }))
    else terminal.note(`audit: ${auditText(record)}`)
  }
