/**
 * Queries and statements of runs. A row is found by the id of its run once; what follows goes by the key of the row.
 */
import type { Payload } from "../../../Run.ts"
import { isTerminal } from "../../../Run.ts"
import type { RunRecord, Wants } from "../../Store.ts"
import { runStatuses } from "../../rows/codes.ts"
import type { Prepare } from "../database.ts"
import { RunCache, type StoredRun } from "../RunCache.ts"
import { fromMetadata, toPayload } from "../../rows/values.ts"
import { assignments, limitParameter, placeholders, rowsOf } from "../rows.ts"
import {
  hasProgressed,
  progressValues,
  progressWritten,
  type RunRow,
  runColumns,
  runTables,
  runUpdate,
  runUpdates,
  runValues,
  runWritten,
  toRunRecord
} from "../runRow.ts"
import { inserter, manyRows } from "./inserter.ts"

const select = `SELECT ${runColumns} FROM ${runTables()}`

const payloadColumns = ["seq", "data", "metadata"]

const put = (table: string, columns: ReadonlyArray<string>, rows: number) =>
  `INSERT OR REPLACE INTO ${table} (${columns.join(", ")}) VALUES ${rowsOf(columns, rows)}`

export const sql = {
  byId: `${select} WHERE r.run_id = ?`,
  byExternalId: `${select} WHERE r.namespace = ? AND r.external_id = ? ORDER BY r.seq DESC LIMIT 1`,
  newestStatus: "SELECT status FROM runs WHERE namespace = ? AND external_id = ? ORDER BY seq DESC LIMIT 1",
  byWorker: `${select} WHERE r.worker_id = ? AND r.status = 2`,
  // one type at a time: the index gives the order of claims within a type, so LIMIT ends the scan
  claimable: `SELECT due_at, priority, created_at, run_id FROM runs
    WHERE namespace = ? AND task_queue = ? AND workflow_type = ? AND due_at <= ?
    ORDER BY due_at, priority DESC, created_at, run_id ${limitParameter}`,
  nextDue: `SELECT due_at FROM runs
    WHERE namespace = ? AND task_queue = ? AND workflow_type = ? AND due_at IS NOT NULL ORDER BY due_at LIMIT 1`,
  insert: `INSERT INTO runs (${runWritten.join(", ")}) VALUES (${placeholders(runWritten)})`,
  putProgress: put("run_progress", progressWritten, 1),
  putManyProgress: put("run_progress", progressWritten, manyRows),
  input: "SELECT data, metadata FROM run_inputs WHERE seq = ?",
  output: "SELECT data, metadata FROM run_outputs WHERE seq = ?",
  putInput: put("run_inputs", payloadColumns, 1),
  putInputs: put("run_inputs", payloadColumns, manyRows),
  copyInput:
    "INSERT OR REPLACE INTO run_inputs (seq, data, metadata) SELECT ?, data, metadata FROM run_inputs WHERE seq = ?",
  putOutput: put("run_outputs", payloadColumns, 1),
  putOutputs: put("run_outputs", payloadColumns, manyRows)
}

/** The statement of each kind of update. */
export const updates = runUpdates.map(({ columns }) => `UPDATE runs SET ${assignments(columns)} WHERE seq = ?`)

type Claim = Wants["claims"][number]
type ClaimRow = readonly [dueAt: number, priority: number, createdAt: number, runId: string]

const claimOrder = (a: ClaimRow, b: ClaimRow): number =>
  a[0] - b[0] || b[1] - a[1] || a[2] - b[2] || (a[3] < b[3] ? -1 : a[3] > b[3] ? 1 : 0)

const externalKey = (namespace: string, externalId: string) => `${namespace.length} ${namespace}${externalId}`

type PayloadRow = readonly [data: Uint8Array | null, metadata: string | null]

export interface Runs {
  readonly byId: (runId: string) => StoredRun | undefined
  /** The newest run with that id: only the newest can be active. */
  readonly byExternalId: (namespace: string, externalId: string) => StoredRun | undefined
  /** To be told that no run has that id, by the transaction under way, which then need not look again to insert one. */
  readonly noteUnused: (namespace: string, externalId: string) => void
  readonly byWorker: (workerId: string) => ReadonlyArray<StoredRun>
  /** Ids of claimable runs in the order of claims; up to the limit of each type where the queue is limited. */
  readonly claimable: (claim: Claim, limited: boolean) => ReadonlyArray<string>
  readonly nextDue: (namespace: string, taskQueue: string, workflowTypes: ReadonlyArray<string>) => number | undefined
  /** Answers whether there was room: one run with an external id is active at a time. */
  readonly insert: (run: RunRecord) => boolean
  readonly update: (before: StoredRun, run: RunRecord) => void
  readonly input: (of: StoredRun) => Payload | undefined
  readonly output: (of: StoredRun) => Payload | undefined
  readonly putInput: (of: StoredRun, payload: Payload) => void
  /** Answers whether there was an input. */
  readonly copyInput: (of: StoredRun, from: StoredRun) => boolean
  readonly putOutput: (of: StoredRun, payload: Payload) => void
  /** Writes what was put off to be written together: payloads, and how far runs have got. */
  readonly flush: () => void
  /** To be told how each transaction ends. */
  readonly committed: () => void
  readonly rolledBack: () => void
}

export const make = (prepare: Prepare): Runs => {
  const cache = new RunCache()
  /** External ids that no run has, as the transaction under way found out. */
  const unused = new Set<string>()
  const byId = prepare<RunRow>(sql.byId)
  const byExternalId = prepare<RunRow>(sql.byExternalId)
  const newestStatus = prepare<readonly [status: number]>(sql.newestStatus)
  const byWorker = prepare<RunRow>(sql.byWorker)
  const claimable = prepare<ClaimRow>(sql.claimable)
  const nextDue = prepare<readonly [dueAt: number]>(sql.nextDue)
  const insert = prepare(sql.insert)
  const input = prepare<PayloadRow>(sql.input)
  const output = prepare<PayloadRow>(sql.output)
  const copyInput = prepare(sql.copyInput)
  const updating = updates.map((sql) => prepare(sql))
  const progress = inserter(prepare(sql.putProgress), prepare(sql.putManyProgress))
  const inputs = inserter(prepare(sql.putInput), prepare(sql.putInputs))
  const outputs = inserter(prepare(sql.putOutput), prepare(sql.putOutputs))

  const keep = (row: RunRow): StoredRun => {
    const stored = { seq: row[23], run: toRunRecord(row) }
    cache.keep(stored)
    return stored
  }
  const keepFound = (row: RunRow | undefined) => (row === undefined ? undefined : keep(row))
  const payload = (row: PayloadRow | undefined) => (row === undefined ? undefined : toPayload(row[0], row[1]))
  return {
    byId: (runId) => cache.get(runId) ?? keepFound(byId.get(runId)),
    byExternalId: (namespace, externalId) => keepFound(byExternalId.get(namespace, externalId)),
    noteUnused: (namespace, externalId) => {
      unused.add(externalKey(namespace, externalId))
    },
    byWorker: (workerId) => byWorker.all(workerId).map(keep),
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
      if (!unused.delete(externalKey(run.namespace, run.externalId)) && !isTerminal(run.status)) {
        const newest = newestStatus.get(run.namespace, run.externalId)
        if (newest !== undefined && !isTerminal(runStatuses[newest[0]]!)) return false
      }
      const seq = Number(insert.run(...runValues(run)).lastInsertRowid)
      if (hasProgressed(undefined, run)) progress.add(progressValues(seq, run))
      cache.write({ seq, run })
      return true
    },
    update: (before, run) => {
      const update = runUpdate(before.run, run)
      if (update !== undefined) updating[update]!.run(...runUpdates[update]!.values(run), before.seq)
      if (hasProgressed(before.run, run)) progress.add(progressValues(before.seq, run))
      cache.write({ seq: before.seq, run })
    },
    input: ({ seq }) => payload(input.get(seq)),
    output: ({ seq }) => payload(output.get(seq)),
    putInput: ({ seq }, { data, metadata }) => inputs.add([seq, data, fromMetadata(metadata)]),
    copyInput: (of, from) => copyInput.run(of.seq, from.seq).changes === 1,
    putOutput: ({ seq }, { data, metadata }) => outputs.add([seq, data, fromMetadata(metadata)]),
    flush: () => {
      for (const rows of [progress, inputs, outputs]) rows.flush()
    },
    committed: () => {
      cache.committed()
      unused.clear()
    },
    rolledBack: () => {
      cache.rolledBack()
      unused.clear()
      for (const rows of [progress, inputs, outputs]) rows.drop()
    }
  }
}
