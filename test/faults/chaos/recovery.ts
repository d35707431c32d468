/** How long runs that a fault touched took to get on. */
import type { Final } from "../../../src/testing/simulator/checks.ts"
import type { Ledger } from "../../../src/testing/simulator/Ledger.ts"
import { moment } from "./ledger.ts"
import type { FaultKind } from "./plan.ts"
import type { Incident } from "./site.ts"

/** One run and one fault. */
export interface Recovery {
  readonly kind: FaultKind
  readonly millis: number
}

const nanosPerMilli = 1e6

/**
 * From each fault to the next progress of each of the runs that workers held which it touched: a write that was asked
 * for after it and acknowledged, a claim, or the end. Those runs must be busy all the time.
 */
export const measure = (
  ledger: Ledger,
  final: Final,
  incidents: ReadonlyArray<Incident>,
  busy: ReadonlySet<string>
): ReadonlyArray<Recovery> => {
  const sinceEpoch = moment() - Date.now() * nanosPerMilli
  const claims = Map.groupBy(ledger.claims, ({ runId }) => runId)
  const writes = Map.groupBy(ledger.writes, ({ runId }) => runId)
  return [...busy].flatMap((runId) => {
    const given = (claims.get(runId) ?? []).toSorted((a, b) => a.order - b.order)
    const written = writes.get(runId) ?? []
    const finishedAt = final.runs.get(runId)?.record.finishedAt
    const end = finishedAt === undefined ? Number.POSITIVE_INFINITY : finishedAt * nanosPerMilli + sinceEpoch
    return incidents.flatMap(({ kind, moment, workers }) => {
      const holder = given.findLast(({ order }) => order <= moment)?.worker
      if (holder === undefined || !workers.includes(holder) || end <= moment) return []
      const next = Math.min(
        end,
        ...given.filter(({ order }) => order > moment).map(({ order }) => order),
        ...written.filter(({ order }) => order > moment).map(({ ackedOrder }) => ackedOrder)
      )
      return Number.isFinite(next) ? [{ kind, millis: (next - moment) / nanosPerMilli }] : []
    })
  })
}

/** The value that so large a share of them do not exceed; undefined where there are none. */
export const percentile = (values: ReadonlyArray<number>, share: number): number | undefined => {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
}
