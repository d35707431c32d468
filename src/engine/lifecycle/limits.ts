/** How many runs may execute at once: on a task queue, and of one workflow type on it. */
import type { Occupancy, RunRecord, WorkerRecord } from "../../store/Store.ts"

/** A task queue of a namespace. */
export interface Place {
  readonly namespace: string
  readonly taskQueue: string
}

const key = (place: Place, workflowType: string | undefined) =>
  JSON.stringify([place.namespace, place.taskQueue, workflowType])

/** What a limit's worth of runs is now. `active` is infinite where it is not known. */
interface Slots {
  limit: number
  active: number
}

/**
 * The limits that were loaded for a batch, as its commands use them. Where something was not loaded, nothing is handed
 * out: the next batch knows better.
 */
export class LimitSet {
  readonly #slots = new Map<string, Slots>()
  readonly #now: number

  constructor(occupancy: ReadonlyArray<Occupancy>, now: number) {
    this.#now = now
    for (const { active, limit, workflowType, ...place } of occupancy) {
      // Above the limit it was not counted to the end.
      this.#slots.set(key(place, workflowType), { limit, active: active > limit ? Number.POSITIVE_INFINITY : active })
    }
  }

  isFull(place: Place, workflowType: string): boolean {
    return this.#isUsedUp(key(place, undefined)) || this.#isUsedUp(key(place, workflowType))
  }

  /** To be told of every run that was written. Answers whether that made a difference. */
  moved(before: RunRecord | undefined, after: RunRecord | undefined): boolean {
    const run = after ?? before
    if (this.#slots.size === 0 || run === undefined) return false
    const difference = Number(this.#isActive(after)) - Number(this.#isActive(before))
    if (difference === 0) return false
    for (const workflowType of [undefined, run.workflowType]) {
      const slots = this.#slots.get(key(run, workflowType))
      if (slots !== undefined) slots.active += difference
    }
    return true
  }

  /** To be told of every worker that was written. A limit only ever falls within a batch. */
  declared(worker: WorkerRecord): void {
    if (worker.status === "OFFLINE") return
    this.#lower(key(worker, undefined), worker.queueConcurrencyLimit)
    for (const [type, limit] of Object.entries(worker.workflowTypeConcurrency)) this.#lower(key(worker, type), limit)
  }

  #isActive(run: RunRecord | undefined): boolean {
    return run?.status === "RUNNING" && run.dueAt !== undefined && run.dueAt > this.#now
  }

  #isUsedUp(key: string): boolean {
    const slots = this.#slots.get(key)
    return slots !== undefined && slots.active >= slots.limit
  }

  #lower(key: string, limit: number | undefined): void {
    if (limit === undefined) return
    const slots = this.#slots.get(key)
    if (slots === undefined) this.#slots.set(key, { limit, active: Number.POSITIVE_INFINITY })
    else slots.limit = Math.min(slots.limit, limit)
  }
}

const declaresLimits = (worker: WorkerRecord): boolean =>
  worker.queueConcurrencyLimit !== undefined || Object.keys(worker.workflowTypeConcurrency).length > 0

/** Whether a worker stopped to declare what it did. */
export const declaresOtherwise = (before: WorkerRecord, after: WorkerRecord): boolean => {
  if (!declaresLimits(before)) return false
  return (
    after.status === "OFFLINE" ||
    before.queueConcurrencyLimit !== after.queueConcurrencyLimit ||
    Object.entries(before.workflowTypeConcurrency).some(
      ([type, limit]) => after.workflowTypeConcurrency[type] !== limit
    )
  )
}

/** What is to be known of workers that wait while limits hold runs up. */
export interface HeldUp {
  /** The types of which no further run may execute now. */
  readonly types: ReadonlySet<string>
  /** When the first lease of those that execute ends. */
  readonly freeAt: number
}

/** Which of those types a limit holds up. */
export const heldUp = (workflowTypes: ReadonlyArray<string>, occupancy: ReadonlyArray<Occupancy>): HeldUp => {
  const full = occupancy.filter(({ active, limit }) => active >= limit)
  const ofQueue = full.some(({ workflowType }) => workflowType === undefined)
  return {
    types: new Set(workflowTypes.filter((type) => ofQueue || full.some(({ workflowType }) => workflowType === type))),
    freeAt: Math.min(...full.map(({ freeAt }) => freeAt ?? Number.POSITIVE_INFINITY))
  }
}
