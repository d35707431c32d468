/** What came of a trial, for people. */
import { tell } from "../../../src/testing/simulator/promises.ts"
import type { Outcome } from "./chaos.ts"
import { limit } from "./limited.ts"
import { kinds, names, settings } from "./plan.ts"
import { percentile, type Recovery } from "./recovery.ts"

const figures = (recoveries: ReadonlyArray<Recovery>): string => {
  const millis = recoveries.map((recovery) => recovery.millis)
  const [half, nearlyAll, all] = [0.5, 0.99, 1].map((share) => Math.round(percentile(millis, share) ?? 0))
  return millis.length === 0 ? "" : `p50 ${half} ms, p99 ${nearlyAll} ms, max ${all} ms (${millis.length} runs)`
}

/** The most of one sort that are told. */
const atMost = 20

/** Whether nothing was wrong. */
export const isGood = ({ complaints, violations }: Outcome): boolean => violations.length + complaints.length === 0

/** What was wrong, with the seed; empty where nothing was. */
export const wrongs = ({ complaints, noted, seed, store, violations }: Outcome): ReadonlyArray<string> =>
  violations.length + complaints.length === 0
    ? []
    : [
        `Seed ${seed} on ${store} breaks what is promised:`,
        ...violations.slice(0, atMost).map((violation) => `  ${tell(violation)}`),
        ...(violations.length > atMost ? [`  and ${violations.length - atMost} more`] : []),
        ...complaints.slice(0, atMost).map((what) => `  ${what}`),
        ...Array.from(noted, ([runId, lines]) => [`  Noted of ${runId}:`, ...lines.map((line) => `    ${line}`)]).flat()
      ]

export const report = (outcome: Outcome): string => {
  const { executions, incidents, mostLimited, recoveries, removed, runs, seed, steps, store, took } = outcome
  const { measured, stuck } = recoveries
  const { heartbeat, lease, stale } = settings
  return [
    `${incidents.length} faults, with leases of ${lease} s, a heartbeat each ${heartbeat} s, and workers gone after ${stale} s`,
    `From what took something away to the next progress of a run that was there: ${figures(measured)}`,
    `Runs that a fault hit and that never got on: ${stuck.length}`,
    ...names.flatMap((name) => {
      const count = incidents.filter(({ kind }) => kind === name).length
      const own = figures(measured.filter(({ kind }) => kind === name))
      return count === 0 ? [] : [`  ${String(count).padStart(4)} ${kinds[name].says}${own === "" ? "" : `: ${own}`}`]
    }),
    `${runs} runs, ${removed} of them removed since, ${steps} attempts of steps, ${executions} executions of them, in ${took.toFixed(0)} s on ${store}`,
    `At most ${mostLimited} of ${limit} runs at a time where there is a limit`,
    ...(isGood(outcome) ? [`Seed ${seed}: all that is promised is kept.`] : wrongs(outcome))
  ].join("\n")
}
