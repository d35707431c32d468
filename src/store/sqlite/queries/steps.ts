/** Queries and statements of steps. */
import type { StepRecord } from "../../Store.ts"
import type { Prepare } from "../database.ts"
import { assignments, placeholders } from "../rows.ts"
import {
  isApart,
  payloadBytes,
  type StepRow,
  stepColumns,
  stepMutable,
  stepMutableValues,
  stepValues,
  toStepRecord
} from "../stepRow.ts"

const columns = stepColumns.join(", ")

/** The key by which steps know their run, from its id. */
export const theRun = "run = (SELECT seq FROM runs WHERE run_id = ?)"

export const sql = {
  byId: `SELECT ${columns} FROM steps WHERE step_id = ?`,
  latest: `SELECT ${columns} FROM steps WHERE ${theRun} AND name = ? ORDER BY attempt DESC LIMIT 1`,
  waiting: `SELECT ${columns} FROM steps AS s WHERE ${theRun}
    AND due_at IS NOT NULL AND status IN (1, 2) AND NOT EXISTS
    (SELECT 1 FROM steps AS later WHERE later.run = s.run AND later.name = s.name AND later.attempt > s.attempt)`,
  // one seek for each step: it skips the older attempts, however many there are
  nextInHistory: `SELECT ${columns} FROM steps WHERE ${theRun} AND position > ?
    ORDER BY position, attempt DESC LIMIT 1`,
  insert: `INSERT INTO steps (run, ${columns}) SELECT seq, ${placeholders(stepColumns)} FROM runs WHERE run_id = ?`,
  update: `UPDATE steps SET ${assignments(stepMutable)} WHERE step_id = ?`,
  input: "SELECT data FROM step_inputs WHERE seq = (SELECT seq FROM steps WHERE step_id = ?)",
  output: "SELECT data FROM step_outputs WHERE seq = (SELECT seq FROM steps WHERE step_id = ?)",
  putInput: "INSERT INTO step_inputs (seq, data) SELECT seq, ? FROM steps WHERE step_id = ?",
  // a row that changes again after its output was stored does not store it again
  putOutput: `INSERT INTO step_outputs (seq, data) SELECT seq, ? FROM steps WHERE step_id = ?
    ON CONFLICT (seq) DO UPDATE SET data = excluded.data WHERE data IS NOT excluded.data`
}

type DataRow = readonly [data: Uint8Array]

export interface Steps {
  readonly record: (row: StepRow) => StepRecord
  readonly byId: (stepId: string) => StepRecord | undefined
  /** The latest attempt. */
  readonly latest: (runId: string, name: string) => StepRecord | undefined
  /** All latest attempts of a run that are PENDING or RUNNING and have a `dueAt`. */
  readonly waiting: (runId: string) => ReadonlyArray<StepRecord>
  readonly history: (
    runId: string,
    after: number,
    maxBytes: number
  ) => { readonly steps: ReadonlyArray<StepRecord>; readonly hasMore: boolean }
  /** Answers whether the run exists. */
  readonly insert: (step: StepRecord) => boolean
  /** Answers whether the step exists. */
  readonly update: (step: StepRecord) => boolean
}

export const make = (prepare: Prepare): Steps => {
  const byId = prepare<StepRow>(sql.byId)
  const latest = prepare<StepRow>(sql.latest)
  const waiting = prepare<StepRow>(sql.waiting)
  const nextInHistory = prepare<StepRow>(sql.nextInHistory)
  const insert = prepare(sql.insert)
  const update = prepare(sql.update)
  const input = prepare<DataRow>(sql.input)
  const output = prepare<DataRow>(sql.output)
  const putInput = prepare(sql.putInput)
  const putOutput = prepare(sql.putOutput)

  const fetchInput = (stepId: string) => input.get(stepId)?.[0] ?? null
  const fetchOutput = (stepId: string) => output.get(stepId)?.[0] ?? null
  const record = (row: StepRow) => toStepRecord(row, fetchInput, fetchOutput)
  const recordOf = (row: StepRow | undefined) => (row === undefined ? undefined : record(row))
  const writeOutput = (step: StepRecord) => {
    if (step.output !== undefined && isApart(step.output)) putOutput.run(step.output.data, step.stepId)
  }
  return {
    record,
    byId: (stepId) => recordOf(byId.get(stepId)),
    latest: (runId, name) => recordOf(latest.get(runId, name)),
    waiting: (runId) => waiting.all(runId).map(record),
    history: (runId, after, maxBytes) => {
      const steps: Array<StepRecord> = []
      let position = after
      let bytes = 0
      for (;;) {
        const row = nextInHistory.get(runId, position)
        if (row === undefined) return { steps, hasMore: false }
        bytes += payloadBytes(row)
        if (bytes > maxBytes && steps.length > 0) return { steps, hasMore: true }
        position = row[6]
        steps.push(record(row))
      }
    },
    insert: (step) => {
      if (insert.run(...stepValues(step), step.runId).changes === 0) return false
      if (isApart(step.input)) putInput.run(step.input.data, step.stepId)
      writeOutput(step)
      return true
    },
    update: (step) => {
      const exists = update.run(...stepMutableValues(step), step.stepId).changes === 1
      writeOutput(step)
      return exists
    }
  }
}
