/** Clients that wait for the end of a run. */
import { Effect, Latch } from "effect"
import { Registry } from "../Registry.ts"
import { isTerminal, type Payload, type Run } from "../Run.ts"
import type { Changes, RunRecord } from "../store/Store.ts"

/** A run as it is when it has ended. */
export type EndedRun = Omit<Run, "input">

/**
 * Is given the run; "missing" when there was none with that id at a time, so that it may have ended and been removed; or
 * nothing when there is nobody any more who could tell of its end.
 */
export type OnEnd = (ended: EndedRun | "missing" | undefined) => void

export class Endings {
  readonly #waiting = new Registry<string, Set<OnEnd>>()

  /** To be told of everything that was written. */
  committed({ insertRuns, outputs, updateRuns }: Pick<Changes, "insertRuns" | "updateRuns" | "outputs">): void {
    if (this.#waiting.size === 0) return
    for (const runs of [insertRuns, updateRuns]) {
      for (const run of runs) {
        if (!isTerminal(run.status) || !this.#waiting.has(run.runId)) continue
        this.ended(run, outputs.find(({ runId }) => runId === run.runId)?.payload)
      }
    }
  }

  /** To be told of a run that has ended. */
  ended(run: RunRecord, output: Payload | undefined): void {
    this.#tell(run.runId, output === undefined ? run : { ...run, output })
  }

  /** To be told of a run that was not found. */
  missing(runId: string): void {
    this.#tell(runId, "missing")
  }

  #tell(runId: string, ended: EndedRun | "missing"): void {
    for (const onEnd of Array.from(this.#waiting.get(runId) ?? [])) onEnd(ended)
  }

  isAwaited(runId: string): boolean {
    return this.#waiting.has(runId)
  }

  /** The runs whose end is waited for. */
  awaited(): Iterable<string> {
    return this.#waiting.keys()
  }

  /** Ends all waits early. */
  ringAll(): void {
    for (const waiting of this.#waiting.values()) for (const onEnd of Array.from(waiting)) onEnd(undefined)
  }

  /** Answers how to take the subscription back. */
  subscribe(runId: string, onEnd: OnEnd): () => void {
    const waiting = this.#waiting.get(runId) ?? new Set()
    this.#waiting.set(runId, waiting.add(onEnd))
    return () => {
      waiting.delete(onEnd)
      if (waiting.size === 0 && this.#waiting.get(runId) === waiting) this.#waiting.delete(runId)
    }
  }

  /** Reads the run, and once more when it has ended or the time, in milliseconds, has passed. */
  awaitEnd<E, R>(runId: string, read: Effect.Effect<Run, E, R>, timeoutMillis: number): Effect.Effect<Run, E, R> {
    // Subscribed before the first read, so that an end between the two is not missed.
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        const latch = Latch.makeUnsafe()
        const unsubscribe = this.subscribe(runId, () => {
          latch.openUnsafe()
        })
        return { latch, unsubscribe }
      }),
      ({ latch }) =>
        Effect.flatMap(read, (run) =>
          isTerminal(run.status) || timeoutMillis <= 0
            ? Effect.succeed(run)
            : Effect.andThen(Effect.raceFirst(latch.await, Effect.sleep(timeoutMillis)), read)
        ),
      ({ unsubscribe }) => Effect.sync(unsubscribe)
    )
  }
}
