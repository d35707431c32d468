/** Removal of runs that have ended. */
import { runStatus } from "../../rows/codes.ts"
import type { Removable, Removal, RemovalRoom } from "../../Store.ts"
import type { Prepare } from "../database.ts"
import { limitParameter } from "../rows.ts"
import type { RunKind } from "../../rows/runCounts.ts"
import type { Counts } from "./counts.ts"

export const sql = {
  // In the order of an index that has them about as they ended: one by when they ended would be written by every run,
  // whether any are removed or not. Those that began long before they ended are read more than once.
  ended: `SELECT seq, run_id, task_queue, workflow_type, created_at, finished_at, coalesce(length(error), 0)
    FROM runs INDEXED BY runs_by_status
    WHERE namespace = ? AND status = ? AND created_at <= ? AND (created_at, run_id) > (?, ?)
    ORDER BY created_at, run_id ${limitParameter}`,
  newest: "SELECT max(seq) FROM runs",
  inputBytes: "SELECT length(data) FROM run_inputs WHERE seq = ?",
  outputBytes: "SELECT length(data) FROM run_outputs WHERE seq = ?",
  steps: `SELECT seq, input_size + coalesce(output_size, 0) + coalesce(length(error), 0)
    FROM steps INDEXED BY steps_by_age WHERE run = ? ${limitParameter}`,
  run: "DELETE FROM runs WHERE seq = ?",
  progress: "DELETE FROM run_progress WHERE seq = ?",
  input: "DELETE FROM run_inputs WHERE seq = ?",
  output: "DELETE FROM run_outputs WHERE seq = ?",
  step: "DELETE FROM steps WHERE seq = ?",
  stepInput: "DELETE FROM step_inputs WHERE seq = ?",
  stepOutput: "DELETE FROM step_outputs WHERE seq = ?",
  // has one row at most
  left: "SELECT seq FROM removals LIMIT 1",
  leave: "INSERT INTO removals (seq) VALUES (?)",
  done: "DELETE FROM removals WHERE seq = ?"
}

type EndedRow = readonly [
  seq: number,
  runId: string,
  taskQueue: string,
  workflowType: string,
  createdAt: number,
  finishedAt: number | null,
  errorBytes: number
]
type StepRow = readonly [seq: number, bytes: number]
type BytesRow = readonly [bytes: number | null]
type SeqRow = readonly [seq: number | null]

/** To be used in a transaction. */
export interface Removals {
  readonly removeEnded: (which: Removable, room: RemovalRoom) => Removal
  readonly removeLeftSteps: (room: RemovalRoom) => boolean
}

/** Takes what there is room for. */
class Room {
  #rows: number
  #bytes: number

  constructor({ bytes, rows }: RemovalRoom) {
    this.#rows = rows
    this.#bytes = bytes
  }

  get rows(): number {
    return this.#rows
  }

  /** Answers whether there was room. */
  take(rows: number, bytes: number): boolean {
    this.#rows -= rows
    this.#bytes -= bytes
    return this.#rows >= 0 && this.#bytes >= 0
  }
}

const bytesOf = (rows: ReadonlyArray<StepRow>): number => rows.reduce((sum, [, bytes]) => sum + bytes, 0)

export const make = (prepare: Prepare, counts: Counts): Removals => {
  const ended = prepare<EndedRow>(sql.ended)
  const newest = prepare<SeqRow>(sql.newest)
  const inputBytes = prepare<BytesRow>(sql.inputBytes)
  const outputBytes = prepare<BytesRow>(sql.outputBytes)
  const steps = prepare<StepRow>(sql.steps)
  const ofRun = [sql.run, sql.progress, sql.input, sql.output].map((text) => prepare(text))
  const ofStep = [sql.step, sql.stepInput, sql.stepOutput].map((text) => prepare(text))
  const left = prepare<readonly [seq: number]>(sql.left)
  const leave = prepare(sql.leave)
  const done = prepare(sql.done)

  const removeRun = (seq: number) => {
    for (const statement of ofRun) statement.run(seq)
  }
  const removeSteps = (rows: ReadonlyArray<StepRow>) => {
    for (const [seq] of rows) for (const statement of ofStep) statement.run(seq)
  }

  /** Removes a run for which there was room, or not, and answers whether its steps are left. */
  const removeOne = (seq: number, found: ReadonlyArray<StepRow>, fits: boolean): boolean => {
    // the newest of all goes as a whole, however large: its key is the next that is given to a run
    const isLeft = !fits && seq !== newest.get()?.[0]
    if (isLeft) leave.run(seq)
    else removeSteps(fits ? found : steps.all(seq, -1))
    removeRun(seq)
    return isLeft
  }

  return {
    removeEnded: ({ after = { at: -1, id: "" }, endedBy, namespace, status }, room) => {
      // so that the key of that run is not given to another: see the table
      if (left.get() !== undefined) return { removed: 0, stepsLeft: true, next: after }
      const rest = new Room(room)
      const gone: Array<RunKind> = []
      const slice = ended.all(namespace, runStatus[status], endedBy, after.at, after.id, room.rows)
      let stepsLeft = false
      let next = after
      let isFull = false
      for (const [seq, runId, taskQueue, workflowType, createdAt, finishedAt, errorBytes] of slice) {
        if (finishedAt !== null && finishedAt <= endedBy) {
          const found = steps.all(seq, Math.max(rest.rows, 0))
          const payloads = (inputBytes.get(seq)?.[0] ?? 0) + (outputBytes.get(seq)?.[0] ?? 0)
          // with the row of the run, as many steps as there is room for are one too many
          isFull = !rest.take(1 + found.length, errorBytes + payloads + bytesOf(found))
          if (isFull && gone.length > 0) break
          stepsLeft = removeOne(seq, found, !isFull)
          gone.push({ namespace, taskQueue, workflowType, status })
        }
        next = { at: createdAt, id: runId }
        if (isFull) break
      }
      counts.moved(gone.map((run) => [run, undefined]))
      const isLast = !isFull && slice.length < room.rows
      return { removed: gone.length, stepsLeft, ...(isLast ? {} : { next }) }
    },
    removeLeftSteps: (room) => {
      const seq = left.get()?.[0]
      if (seq === undefined) return false
      const found = steps.all(seq, room.rows)
      if (found.length === 0) done.run(seq)
      const rest = new Room(room)
      removeSteps(found.filter(([, bytes], place) => rest.take(1, bytes) || place === 0))
      return true
    }
  }
}
