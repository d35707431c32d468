/**
 * Knows when the body of a run has come to rest.
 *
 * All fibers of a body are scheduled through one of these. Between two durable events the body is pure computation, so
 * it has come to rest when none of its fibers is running or scheduled. Only then is the next event given to it, which
 * makes a replay take the same course as the first execution, whatever the body's fibers do among themselves.
 */
import type { Fiber, Scheduler } from "effect"

export class RunScheduler implements Scheduler.Scheduler {
  readonly executionMode: "sync" | "async"
  readonly #base: Scheduler.Scheduler
  readonly #onRest: () => void
  #runnable = 0

  constructor(base: Scheduler.Scheduler, onRest: () => void) {
    this.executionMode = base.executionMode
    this.#base = base
    this.#onRest = onRest
  }

  /** Whether a fiber of the body waits for its turn. */
  get atRest(): boolean {
    return this.#runnable === 0
  }

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return this.#base.shouldYield(fiber)
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    const dispatcher = this.#base.makeDispatcher()
    return {
      scheduleTask: (task, priority) => {
        this.#runnable++
        dispatcher.scheduleTask(() => {
          this.#runnable--
          task()
          if (this.#runnable === 0) this.#onRest()
        }, priority)
      },
      flush: () => dispatcher.flush()
    }
  }
}
