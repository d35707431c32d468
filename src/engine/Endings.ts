/** Clients that wait for the end of a run. */
import { Effect, Latch } from "effect"
import { isTerminal, type Run } from "../Run.ts"
import type { RunRecord } from "../store/Store.ts"

export class Endings {
  readonly #waiting = new Map<string, Set<Latch.Latch>>()

  /** To be told of every run that was written. */
  runChanged(run: RunRecord): void {
    if (isTerminal(run.status)) for (const latch of this.#waiting.get(run.runId) ?? []) latch.openUnsafe()
  }

  /** Ends all waits early. */
  ringAll(): void {
    for (const latches of this.#waiting.values()) for (const latch of latches) latch.openUnsafe()
  }

  /** Reads the run, and once more when it has ended or the time, in milliseconds, has passed. */
  awaitEnd<E, R>(runId: string, read: Effect.Effect<Run, E, R>, timeoutMillis: number): Effect.Effect<Run, E, R> {
    // Subscribed before the first read, so that an end between the two is not missed.
    return Effect.acquireUseRelease(
      Effect.sync(() => this.#subscribe(runId)),
      (latch) =>
        Effect.flatMap(read, (run) =>
          isTerminal(run.status) || timeoutMillis <= 0
            ? Effect.succeed(run)
            : Effect.andThen(Effect.raceFirst(latch.await, Effect.sleep(timeoutMillis)), read)
        ),
      (latch) => Effect.sync(() => this.#unsubscribe(runId, latch))
    )
  }

  #subscribe(runId: string): Latch.Latch {
    const latch = Latch.makeUnsafe()
    const latches = this.#waiting.get(runId)
    if (latches === undefined) this.#waiting.set(runId, new Set([latch]))
    else latches.add(latch)
    return latch
  }

  #unsubscribe(runId: string, latch: Latch.Latch): void {
    const latches = this.#waiting.get(runId)
    latches?.delete(latch)
    if (latches?.size === 0) this.#waiting.delete(runId)
  }
}
