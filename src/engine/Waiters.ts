/**
 * Workers that wait for a run, and who of them is woken by what.
 *
 * A run that became claimable is announced to one waiter that can take it. If that one takes another run or goes away,
 * the run is announced to the next. A run that will be due sets the timers of all waiters that can take it.
 */
import { Latch } from "effect"
import type { RunRecord } from "../store/Store.ts"

interface Place {
  readonly namespace: string
  readonly taskQueue: string
}

const queueKey = (place: Place) => `${place.namespace}\u0000${place.taskQueue}`

export class Waiter {
  readonly key: string
  readonly workerId: string
  readonly types: ReadonlySet<string>
  readonly bell = Latch.makeUnsafe()
  /** Whether it is in the middle of asking the store, so that it may or may not see what is committed meanwhile. */
  asking = true
  /** It has to ask once more. */
  again = false
  /** The run that was announced to it. */
  announced: RunRecord | undefined
  /** When the earliest run it knows of is due. */
  dueAt = Number.POSITIVE_INFINITY

  constructor(place: Place, workerId: string, types: ReadonlyArray<string>) {
    this.key = queueKey(place)
    this.workerId = workerId
    this.types = new Set(types)
  }

  get isCalled(): boolean {
    return this.again || this.announced !== undefined
  }
}

export class Waiters {
  readonly #queues = new Map<string, Set<Waiter>>()
  /** Runs announced and not changed since, and to whom. */
  readonly #open = new Map<string, Waiter>()

  add(place: Place, workerId: string, types: ReadonlyArray<string>): Waiter {
    const waiter = new Waiter(place, workerId, types)
    const queue = this.#queues.get(waiter.key)
    if (queue === undefined) this.#queues.set(waiter.key, new Set([waiter]))
    else queue.add(waiter)
    return waiter
  }

  /** Takes a waiter out, with the run it got if it did; what was announced to it and is still there goes to another. */
  remove(waiter: Waiter, takenRunId: string | undefined): void {
    const queue = this.#queues.get(waiter.key)
    queue?.delete(waiter)
    if (queue?.size === 0) this.#queues.delete(waiter.key)
    const { announced } = waiter
    if (this.#close(waiter) && announced !== undefined && announced.runId !== takenRunId) this.#announce(announced)
  }

  /** The waiter asks the store now. What it was called for is answered by that. */
  asks(waiter: Waiter): void {
    waiter.asking = true
    waiter.again = false
    waiter.dueAt = Number.POSITIVE_INFINITY
  }

  /** The store had nothing for the waiter, and what was announced to it is taken. */
  waits(waiter: Waiter, dueAt: number): void {
    waiter.asking = false
    this.#close(waiter)
    waiter.dueAt = Math.min(waiter.dueAt, dueAt)
  }

  /** To be told of every run that was written, with the time of that. */
  runChanged(run: RunRecord, now: number): void {
    this.#open.delete(run.runId)
    if (run.dueAt === undefined) return
    if (run.dueAt <= now) this.#announce(run)
    else this.#schedule(run, run.dueAt)
  }

  /** To be told of workers that take no more runs: they are to find that out. */
  workerLeft(workerId: string): void {
    for (const queue of this.#queues.values()) {
      for (const waiter of queue) if (waiter.workerId === workerId) this.#callAgain(waiter)
    }
  }

  ringAll(): void {
    for (const queue of this.#queues.values()) for (const waiter of queue) this.#callAgain(waiter)
  }

  /** Forgets what was announced to a waiter; answers whether it was still there. */
  #close(waiter: Waiter): boolean {
    const { announced } = waiter
    waiter.announced = undefined
    return announced !== undefined && this.#open.get(announced.runId) === waiter && this.#open.delete(announced.runId)
  }

  #announce(run: RunRecord): void {
    const asking: Array<Waiter> = []
    for (const waiter of this.#queues.get(queueKey(run)) ?? []) {
      if (!waiter.types.has(run.workflowType)) continue
      if (waiter.asking) asking.push(waiter)
      else if (!waiter.isCalled) {
        waiter.announced = run
        this.#open.set(run.runId, waiter)
        waiter.bell.openUnsafe()
        return
      }
    }
    for (const waiter of asking) waiter.again = true
  }

  #schedule(run: RunRecord, dueAt: number): void {
    for (const waiter of this.#queues.get(queueKey(run)) ?? []) {
      if (dueAt >= waiter.dueAt || !waiter.types.has(run.workflowType)) continue
      waiter.dueAt = dueAt
      waiter.bell.openUnsafe()
    }
  }

  #callAgain(waiter: Waiter): void {
    waiter.again = true
    waiter.bell.openUnsafe()
  }
}
