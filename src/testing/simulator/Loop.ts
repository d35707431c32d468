/**
 * Virtual time: what is ready runs at once and in order, and time leaps to the next timer when nothing is.
 *
 * Everything that a simulation does runs in here, so that nothing depends on the real clock or on what else the process
 * does.
 */
import { Effect } from "effect"

/** What is to be done at a time. */
interface Timer {
  readonly at: number
  /** In the order in which they were set. */
  readonly order: number
  readonly run: () => void
  cancelled: boolean
}

const isBefore = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)

export class Loop {
  /** Milliseconds since the epoch: the true time, which no clock in the simulation need show. */
  now: number
  readonly beginning: number
  /** How often something was done until nothing was left to do without time passing. */
  turns = 0
  #ready: Array<() => void> = []
  /** A binary heap. */
  readonly #timers: Array<Timer> = []
  #order = 0

  constructor(now: number) {
    this.now = now
    this.beginning = now
  }

  /** Runs a task after those that are ready. */
  post(task: () => void): void {
    this.#ready.push(task)
  }

  /** Runs a task after so many milliseconds. Answers how to cancel that. */
  after(millis: number, run: () => void): () => void {
    const timer: Timer = { at: this.now + Math.max(0, Math.ceil(millis)), order: this.#order++, run, cancelled: false }
    this.#push(timer)
    return () => {
      timer.cancelled = true
    }
  }

  /** Lets time pass until that is so, or until a time; then tells which of both. */
  until(isDone: () => boolean, deadline: number): Effect.Effect<boolean> {
    const turn = Effect.suspend((): Effect.Effect<boolean> => {
      if (this.#ready.length > 0) {
        this.turns++
        const batch = this.#ready
        this.#ready = []
        for (const task of batch) task()
        // what was put off to the end of this turn of the event loop comes first
        return Effect.flatMap(Effect.yieldNow, () => turn)
      }
      if (isDone()) return Effect.succeed(true)
      const timer = this.#pop()
      if (timer === undefined || timer.at > deadline) {
        if (timer !== undefined) this.#push(timer)
        this.now = Math.max(this.now, deadline)
        return Effect.succeed(false)
      }
      this.now = timer.at
      timer.run()
      return Effect.flatMap(Effect.yieldNow, () => turn)
    })
    return turn
  }

  #push(timer: Timer): void {
    const heap = this.#timers
    let at = heap.length
    heap.push(timer)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(timer, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = timer
  }

  #pop(): Timer | undefined {
    const heap = this.#timers
    for (;;) {
      const first = heap[0]
      if (first === undefined) return undefined
      const last = heap.pop()!
      if (heap.length > 0) {
        let at = 0
        for (;;) {
          let child = 2 * at + 1
          if (child >= heap.length) break
          if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
          if (!isBefore(heap[child]!, last)) break
          heap[at] = heap[child]!
          at = child
        }
        heap[at] = last
      }
      if (!first.cancelled) return first
    }
  }
}
