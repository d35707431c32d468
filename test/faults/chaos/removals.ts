/**
 * Remembers runs that have ended until everything is checked: retention removes them meanwhile. It must not do so before
 * their time, nor long after it.
 */
import { Effect } from "effect"
import { isTerminal } from "../../../src/Run.ts"
import type { Shape, StoreError } from "../../../src/store/Store.ts"
import type { Final } from "../../../src/testing/simulator/checks.ts"
import { listRuns, readRuns } from "../../../src/testing/simulator/final.ts"

/** The shortest that servers take. */
export const retentionSeconds = 60

const retentionMillis = 1_000 * retentionSeconds

/** How long after its time a run may be there: a pass comes every 3 seconds, and may fail for a while. */
const patienceMillis = 20_000

/** Servers look at the time of the database now and then. */
const clockErrorMillis = 100

type Kept = Final["runs"] extends ReadonlyMap<string, infer Run> ? Run & Pick<Final, "steps"> : never

export class Removals {
  readonly complaints: Array<string> = []
  readonly #kept = new Map<string, Kept>()
  readonly #removed = new Set<string>()

  /** How many runs were seen to be gone. */
  get count(): number {
    return this.#removed.size
  }

  /** Looks what is there now. Runs must be seen once between their end and their removal. */
  look(store: Shape): Effect.Effect<void, StoreError> {
    return Effect.gen({ self: this }, function* () {
      const listed = yield* listRuns(store)
      this.#compare(new Set(listed.map(({ runId }) => runId)))
      this.#keep(
        yield* readRuns(
          store,
          listed.filter(({ runId, status }) => isTerminal(status) && !this.#kept.has(runId))
        )
      )
    })
  }

  #keep({ runs, steps }: Final): void {
    const ofRun = Map.groupBy(steps, ({ runId }) => runId)
    for (const [runId, run] of runs) this.#kept.set(runId, { ...run, steps: ofRun.get(runId) ?? [] })
  }

  #compare(there: ReadonlySet<string>): void {
    const now = Date.now()
    for (const [runId, { record }] of this.#kept) {
      if (there.has(runId) || this.#removed.has(runId)) continue
      this.#removed.add(runId)
      const age = now - (record.finishedAt ?? now)
      if (age + clockErrorMillis < retentionMillis) {
        this.complaints.push(`${runId} was removed ${Math.round(age)} ms after its end, or earlier`)
      }
    }
  }

  /** What there would be in the end if nothing had been removed. `endedAt` is when servers were told to end. */
  restore(final: Final, endedAt: number): Final {
    this.#compare(new Set(final.runs.keys()))
    const late = [...final.runs.values()].filter(
      ({ record }) => (record.finishedAt ?? endedAt) + retentionMillis + patienceMillis < endedAt
    )
    if (late.length > 0) this.complaints.push(`${late.length} runs were not removed when it was time`)
    const removed = [...this.#kept].filter(([runId]) => this.#removed.has(runId))
    return {
      runs: new Map([...final.runs, ...removed]),
      steps: [...final.steps, ...removed.flatMap(([, { steps }]) => steps)]
    }
  }
}
