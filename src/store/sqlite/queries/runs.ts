/** Queries and statements of runs. */
import type { Payload } from "../../../Run.ts"
import type { RunRecord, Wants } from "../../Store.ts"
import type { Prepare } from "../database.ts"
import { assignments, fromMetadata, placeholders } from "../rows.ts"
import { type RunRow, runColumns, runUpdate, runValues, toRunRecord } from "../runRow.ts"

const columns = runColumns.join(", ")

export const sql = {
  byId: `SELECT ${columns} FROM runs WHERE run_id = ?`,
  active: `SELECT ${columns} FROM runs WHERE namespace = ? AND external_id = ? AND status NOT IN (4, 5, 6)`,
  newestEnded: `SELECT ${columns} FROM runs WHERE namespace = ? AND external_id = ? AND status IN (4, 5, 6)
    ORDER BY seq DESC LIMIT 1`,
  byWorker: `SELECT ${columns} FROM runs WHERE worker_id = ? AND status = 2`,
  // one type at a time: the index gives the order of claims within a type, so LIMIT ends the scan
  claimable: `SELECT due_at, priority, created_at, run_id FROM runs
    WHERE namespace = ? AND task_queue = ? AND workflow_type = ? AND due_at <= ?
    ORDER BY due_at, priority DESC, created_at, run_id LIMIT ?`,
  nextDue: `SELECT due_at FROM runs
    WHERE namespace = ? AND task_queue = ? AND workflow_type = ? AND due_at IS NOT NULL ORDER BY due_at LIMIT 1`,
  insert: `INSERT INTO runs (${columns}) VALUES (${placeholders(runColumns)})`,
  update: (columns: ReadonlyArray<string>) => `UPDATE runs SET ${assignments(columns)} WHERE run_id = ?`,
  putInput: `INSERT OR REPLACE INTO run_inputs (seq, data, metadata) SELECT seq, ?, ? FROM runs WHERE run_id = ?`,
  copyInput: `INSERT OR REPLACE INTO run_inputs (seq, data, metadata)
    SELECT (SELECT seq FROM runs WHERE run_id = ?), i.data, i.metadata
    FROM runs r JOIN run_inputs i ON i.seq = r.seq WHERE r.run_id = ?`,
  putOutput: `INSERT OR REPLACE INTO run_outputs (seq, data, metadata) SELECT seq, ?, ? FROM runs WHERE run_id = ?`
}

type Claim = Wants["claims"][number]
type ClaimRow = readonly [dueAt: number, priority: number, createdAt: number, runId: string]

const claimOrder = (a: ClaimRow, b: ClaimRow): number =>
  a[0] - b[0] || b[1] - a[1] || a[2] - b[2] || (a[3] < b[3] ? -1 : a[3] > b[3] ? 1 : 0)

export interface Runs {
  readonly byId: (runId: string) => RunRecord | undefined
  /** The active run with that id, else the newest that has ended. */
  readonly byExternalId: (namespace: string, externalId: string) => RunRecord | undefined
  readonly byWorker: (workerId: string) => ReadonlyArray<RunRecord>
  /** Ids of claimable runs in the order of claims; up to the limit of each type where the queue is limited. */
  readonly claimable: (claim: Claim, limited: boolean) => ReadonlyArray<string>
  readonly nextDue: (namespace: string, taskQueue: string, workflowTypes: ReadonlyArray<string>) => number | undefined
  readonly insert: (run: RunRecord) => void
  /** These answer whether the run exists. `before` is the row as it is, where it was loaded. */
  readonly update: (run: RunRecord, before: RunRecord | undefined) => boolean
  readonly putInput: (runId: string, payload: Payload) => boolean
  readonly copyInput: (runId: string, from: string) => boolean
  readonly putOutput: (runId: string, payload: Payload) => boolean
}

export const make = (prepare: Prepare): Runs => {
  const byId = prepare<RunRow>(sql.byId)
  const active = prepare<RunRow>(sql.active)
  const newestEnded = prepare<RunRow>(sql.newestEnded)
  const byWorker = prepare<RunRow>(sql.byWorker)
  const claimable = prepare<ClaimRow>(sql.claimable)
  const nextDue = prepare<readonly [dueAt: number]>(sql.nextDue)
  const insert = prepare(sql.insert)
  const putInput = prepare(sql.putInput)
  const copyInput = prepare(sql.copyInput)
  const putOutput = prepare(sql.putOutput)

  const record = (row: RunRow | undefined) => (row === undefined ? undefined : toRunRecord(row))
  return {
    byId: (runId) => record(byId.get(runId)),
    byExternalId: (namespace, externalId) =>
      record(active.get(namespace, externalId) ?? newestEnded.get(namespace, externalId)),
    byWorker: (workerId) => byWorker.all(workerId).map(toRunRecord),
    claimable: ({ dueBy, limit, namespace, taskQueue, workflowTypes }, limited) => {
      const found = Array.from(new Set(workflowTypes), (type) =>
        claimable.all(namespace, taskQueue, type, dueBy, limit)
      )
      const merged = found.length === 1 ? found[0]! : found.flat().sort(claimOrder)
      return (limited ? merged : merged.slice(0, limit)).map((row) => row[3])
    },
    nextDue: (namespace, taskQueue, workflowTypes) => {
      let earliest: number | undefined
      for (const type of workflowTypes) {
        const row = nextDue.get(namespace, taskQueue, type)
        if (row !== undefined && (earliest === undefined || row[0] < earliest)) earliest = row[0]
      }
      return earliest
    },
    insert: (run) => {
      insert.run(...runValues(run))
    },
    update: (run, before) => {
      const { columns, values } = runUpdate(run, before)
      return prepare(sql.update(columns)).run(...values, run.runId).changes === 1
    },
    putInput: (runId, { data, metadata }) => putInput.run(data, fromMetadata(metadata), runId).changes === 1,
    copyInput: (runId, from) => copyInput.run(runId, from).changes === 1,
    putOutput: (runId, { data, metadata }) => putOutput.run(data, fromMetadata(metadata), runId).changes === 1
  }
}
