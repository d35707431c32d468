/** How long runs took to get on that were in the hands of what a fault hit. */
import type { Final } from "../../../src/testing/simulator/checks.ts"
import type { Ledger } from "../../../src/testing/simulator/Ledger.ts"
import { momentAt } from "./ledger.ts"
import { type FaultKind, takesAway } from "./plan.ts"
import type { Incident } from "./site.ts"

/** One run and one fault. */
export interface Recovery {
  readonly kind: FaultKind
  readonly millis: number
}

export interface Recoveries {
  /** Of the faults that took something away. */
  readonly measured: ReadonlyArray<Recovery>
  /** Runs that never got on after a fault, of whichever kind. */
  readonly stuck: ReadonlyArray<{ readonly kind: FaultKind; readonly runId: string }>
}

const nanosPerMilli = 1e6

/** A step has ended, or the run. */
const isProgress = ({ what }: { readonly what: string }): boolean =>
  what === "complete" || what === "fail" || what === "completion" || what === "failure"

/**
 * From each fault to the next progress of each of the runs that were held by workers which it hit: the acknowledgement
 * of a step's end that was asked for after the fault, or the end of the run. Those runs must be busy all the time.
 * Further faults before that are in it.
 */
export const measure = (
  ledger: Ledger,
  final: Final,
  incidents: ReadonlyArray<Incident>,
  busy: ReadonlySet<string>
): Recoveries => {
  const claims = Map.groupBy(ledger.claims, ({ runId }) => runId)
  const writes = Map.groupBy(ledger.writes.filter(isProgress), ({ runId }) => runId)
  const measured: Array<Recovery> = []
  const stuck: Array<Recoveries["stuck"][number]> = []
  for (const runId of busy) {
    const given = (claims.get(runId) ?? []).toSorted((a, b) => a.order - b.order)
    const written = writes.get(runId) ?? []
    const finishedAt = final.runs.get(runId)?.record.finishedAt
    const end = finishedAt === undefined ? Number.POSITIVE_INFINITY : momentAt(finishedAt)
    for (const incident of incidents) {
      const { kind, moment, workers } = incident
      const holder = given.findLast(({ order }) => order <= moment)?.worker
      if (holder === undefined || !workers.includes(holder) || end <= moment) continue
      const next = Math.min(end, ...written.filter(({ order }) => order > moment).map(({ ackedOrder }) => ackedOrder))
      if (!Number.isFinite(next)) stuck.push({ kind, runId })
      else if (takesAway(incident)) measured.push({ kind, millis: (next - moment) / nanosPerMilli })
    }
  }
  return { measured, stuck }
}

/** The value that so large a share of them do not exceed; undefined where there are none. */
export const percentile = (values: ReadonlyArray<number>, share: number): number | undefined => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
}
