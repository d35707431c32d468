/** The schedules that a batch of commands works on, and what has to be written of them: the part of a `WorkingSet`. */
import { isTerminal, type Payload } from "../../Run.ts"
import type { Changes, Rows, RunRecord, ScheduleRecord } from "../../store/Store.ts"

type Written = "insert" | "update" | "delete"

interface Counts {
  total: number
  successful: number
  failed: number
}

const slotKey = (scheduleId: string, slot: number) => `${scheduleId}\u0000${slot}`

type ScheduleChanges = Pick<
  Changes,
  | "insertSchedules"
  | "updateSchedules"
  | "scheduleInputs"
  | "copyScheduleInputs"
  | "countScheduleRuns"
  | "deleteSchedules"
>

export class ScheduleSet {
  readonly #rows: Map<string, ScheduleRecord>
  readonly #written = new Map<string, Written>()
  readonly #inputs = new Map<string, Payload>()
  readonly #copies = new Map<string, string>()
  readonly #slots: Set<string>
  readonly #counts = new Map<string, Counts>()
  readonly #onUndo: (undo: () => void) => void

  /** `onUndo` is given how to take each change back. */
  constructor(rows: Rows, onUndo: (undo: () => void) => void) {
    this.#rows = new Map(rows.schedules.map((row) => [row.scheduleId, row]))
    this.#slots = new Set(rows.slots.map(({ scheduleId, slot }) => slotKey(scheduleId, slot)))
    this.#onUndo = onUndo
  }

  /** The schedule, with the runs counted that this batch started and ended. */
  get(scheduleId: string): ScheduleRecord | undefined {
    return this.#rows.get(scheduleId)
  }

  /** Whether there is a run for that slot. */
  hasRun(scheduleId: string, slot: number): boolean {
    return this.#slots.has(slotKey(scheduleId, slot))
  }

  put(row: ScheduleRecord): ScheduleRecord {
    this.#write(row.scheduleId, row, this.#rows.has(row.scheduleId) ? "update" : "insert")
    return row
  }

  remove(scheduleId: string): void {
    this.#write(scheduleId, undefined, "delete")
  }

  putInput(scheduleId: string, payload: Payload): void {
    const before = this.#inputs.get(scheduleId)
    this.#inputs.set(scheduleId, payload)
    this.#onUndo(() => {
      if (before === undefined) this.#inputs.delete(scheduleId)
      else this.#inputs.set(scheduleId, before)
    })
  }

  /** Gives a run the input of its schedule. */
  copyInput(runId: string, scheduleId: string): void {
    this.#copies.set(runId, scheduleId)
    this.#onUndo(() => this.#copies.delete(runId))
  }

  /** To be told of every run that is written. */
  runChanged(before: RunRecord | undefined, run: RunRecord): void {
    const { scheduleId } = run
    if (scheduleId === undefined) return
    const ended = isTerminal(run.status) && (before === undefined || !isTerminal(before.status))
    const total = before === undefined ? 1 : 0
    const successful = ended && run.status === "COMPLETED" ? 1 : 0
    const failed = ended && run.status === "FAILED" ? 1 : 0
    if (total + successful + failed > 0) {
      const counts = this.#counts.get(scheduleId) ?? { total: 0, successful: 0, failed: 0 }
      this.#counts.set(scheduleId, counts)
      const add = (sign: 1 | -1) => {
        counts.total += sign * total
        counts.successful += sign * successful
        counts.failed += sign * failed
        const row = this.#rows.get(scheduleId)
        if (row === undefined) return
        this.#rows.set(scheduleId, {
          ...row,
          totalRuns: row.totalRuns + sign * total,
          successfulRuns: row.successfulRuns + sign * successful,
          failedRuns: row.failedRuns + sign * failed
        })
      }
      add(1)
      this.#onUndo(() => add(-1))
    }
    if (before === undefined && run.slot !== undefined) {
      const key = slotKey(scheduleId, run.slot)
      this.#slots.add(key)
      this.#onUndo(() => this.#slots.delete(key))
    }
  }

  changes(): ScheduleChanges {
    const counts: Array<ScheduleChanges["countScheduleRuns"][number]> = []
    for (const [scheduleId, added] of this.#counts) {
      if (added.total + added.successful + added.failed > 0) counts.push({ scheduleId, ...added })
    }
    return {
      insertSchedules: this.#toWrite("insert"),
      updateSchedules: this.#toWrite("update"),
      scheduleInputs: Array.from(this.#inputs, ([scheduleId, payload]) => ({ scheduleId, payload })),
      copyScheduleInputs: Array.from(this.#copies, ([runId, scheduleId]) => ({ runId, scheduleId })),
      countScheduleRuns: counts,
      deleteSchedules: Array.from(this.#written).flatMap(([id, written]) => (written === "delete" ? [id] : []))
    }
  }

  #write(id: string, row: ScheduleRecord | undefined, how: Written): void {
    const before = this.#rows.get(id)
    const written = this.#written.get(id)
    if (row === undefined) this.#rows.delete(id)
    else this.#rows.set(id, row)
    this.#written.set(id, written === "insert" && how === "update" ? "insert" : how)
    this.#onUndo(() => {
      if (before === undefined) this.#rows.delete(id)
      else this.#rows.set(id, before)
      if (written === undefined) this.#written.delete(id)
      else this.#written.set(id, written)
    })
  }

  #toWrite(how: Written): ReadonlyArray<ScheduleRecord> {
    const found: Array<ScheduleRecord> = []
    for (const [id, written] of this.#written) {
      const row = this.#rows.get(id)
      if (written === how && row !== undefined) found.push(row)
    }
    return found
  }
}
