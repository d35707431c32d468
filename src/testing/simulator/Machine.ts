/**
 * A machine with a clock of its own, on which fibers run until it crashes.
 *
 * A crash is what `kill -9` is: no fiber of the machine ever runs again, and none is interrupted, so that no finalizer
 * does anything. A machine that stops for a while, as by SIGSTOP, goes on where it was, and its clock has gone on.
 */
import { Clock, Context, Duration, Effect, Random, References, Scheduler } from "effect"
import { RandomBytes } from "../../ids.ts"
import { Pid } from "../../worker/Host.ts"
import type { Chance } from "./Chance.ts"
import type { Loop } from "./Loop.ts"

/** How a clock is wrong: ahead of the true time by so many milliseconds at first, and by that part of a time after it. */
export interface Wrong {
  readonly millis: number
  readonly rate: number
}

export class Machine {
  readonly name: string
  readonly loop: Loop
  readonly wrong: Wrong
  readonly scheduler: Scheduler.Scheduler
  readonly clock: Clock.Clock
  readonly chance: Chance
  /** The number of its life, since each process has another. */
  readonly pid: number
  #state: "runs" | "stopped" | "crashed" = "runs"
  #held: Array<() => void> = []

  constructor(options: {
    readonly name: string
    readonly loop: Loop
    readonly wrong: Wrong
    readonly chance: Chance
    readonly pid: number
  }) {
    this.name = options.name
    this.loop = options.loop
    this.wrong = options.wrong
    this.chance = options.chance
    this.pid = options.pid
    const { millis, rate } = this.wrong
    const beginning = this.loop.beginning
    this.clock = makeClock(
      () => Math.floor(this.loop.now + millis + rate * (this.loop.now - beginning)),
      (wait, run) => this.after(wait, run)
    )
    this.scheduler = {
      executionMode: "async",
      shouldYield: (fiber) => fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield,
      makeDispatcher: () => ({ scheduleTask: (task) => this.post(task), flush: () => undefined })
    }
  }

  get runs(): boolean {
    return this.#state === "runs"
  }

  get isCrashed(): boolean {
    return this.#state === "crashed"
  }

  /** Does something on the machine, after what is ready there. */
  post(task: () => void): void {
    if (this.#state === "crashed") return
    this.loop.post(() => this.#do(task))
  }

  /** Does something on the machine after so many milliseconds of its own clock. */
  after(millis: number, task: () => void): () => void {
    return this.loop.after(millis / (1 + this.wrong.rate), () => this.#do(task))
  }

  crash(): void {
    this.#state = "crashed"
    this.#held = []
  }

  stop(): void {
    if (this.#state === "runs") this.#state = "stopped"
  }

  resume(): void {
    if (this.#state !== "stopped") return
    this.#state = "runs"
    const held = this.#held
    this.#held = []
    for (const task of held) this.post(task)
  }

  /** What all fibers of the machine run with. */
  get context(): Context.Context<never> {
    const { chance } = this
    return Context.make(Scheduler.Scheduler, this.scheduler).pipe(
      Context.add(Clock.Clock, this.clock),
      Context.add(Random.Random, {
        nextDoubleUnsafe: () => chance.fraction(),
        nextIntUnsafe: () => chance.between(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
      }),
      Context.add(RandomBytes, (size: number) => chance.bytes(size)),
      Context.add(Pid, this.pid),
      Context.add(References.MinimumLogLevel, "None"),
      Context.add(References.TracerEnabled, false)
    )
  }

  /** Runs an effect on the machine. */
  fork<A, E>(effect: Effect.Effect<A, E>): void {
    Effect.runForkWith(this.context)(effect)
  }

  #do(task: () => void): void {
    if (this.#state === "runs") task()
    else if (this.#state === "stopped") this.#held.push(task)
  }
}

/** A clock that shows a time, and whose timers are set elsewhere. */
export const makeClock = (
  millis: () => number,
  after: (millis: number, run: () => void) => () => void
): Clock.Clock => {
  const nanos = () => BigInt(millis()) * 1_000_000n
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeNanosUnsafe: nanos,
    monotonicTimeNanosUnsafe: nanos,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanos: Effect.sync(nanos),
    sleep: (duration) =>
      Effect.callback((resume) => {
        const cancel = after(Duration.toMillis(duration), () => resume(Effect.void))
        return Effect.sync(cancel)
      })
  }
}
