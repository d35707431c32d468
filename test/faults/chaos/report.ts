/** What came of a trial, for people. */
import { tell } from "../../../src/testing/simulator/promises.ts"
import type { Outcome } from "./chaos.ts"
import { kinds, names } from "./plan.ts"
import { percentile, type Recovery } from "./recovery.ts"

const figures = (recoveries: ReadonlyArray<Recovery>): string => {
  const millis = recoveries.map((recovery) => recovery.millis)
  const [half, most] = [percentile(millis, 0.5), percentile(millis, 0.99)]
  return half === undefined || most === undefined
    ? ""
    : `p50 ${Math.round(half)} ms, p99 ${Math.round(most)} ms (${millis.length} runs touched)`
}

/** The most of one sort that are told. */
const atMost = 20

/** Whether nothing was wrong. */
export const isGood = ({ complaints, violations }: Outcome): boolean => violations.length + complaints.length === 0

/** What was wrong, with the seed; empty where nothing was. */
export const wrongs = ({ complaints, seed, store, violations }: Outcome): ReadonlyArray<string> =>
  violations.length + complaints.length === 0
    ? []
    : [
        `Seed ${seed} on ${store} breaks what is promised:`,
        ...violations.slice(0, atMost).map((violation) => `  ${tell(violation)}`),
        ...(violations.length > atMost ? [`  and ${violations.length - atMost} more`] : []),
        ...complaints.slice(0, atMost).map((what) => `  ${what}`)
      ]

export const report = (outcome: Outcome): string => {
  const { executions, incidents, recoveries, runs, seed, steps, store, took } = outcome
  return [
    `${incidents.length} faults; time to recover ${figures(recoveries)}`,
    ...names.flatMap((name) => {
      const count = incidents.filter(({ kind }) => kind === name).length
      const own = figures(recoveries.filter(({ kind }) => kind === name))
      return count === 0 ? [] : [`  ${String(count).padStart(4)} ${kinds[name].says}${own === "" ? "" : `: ${own}`}`]
    }),
    `${runs} runs, ${steps} attempts of steps, ${executions} executions of them, in ${took.toFixed(0)} s on ${store}`,
    ...(isGood(outcome) ? [`Seed ${seed}: all that is promised is kept.`] : wrongs(outcome))
  ].join("\n")
}
