/** What became of the order, and whether that is what was promised. */
import type { Run } from "kagzi"
import type { Entry } from "./Ledger.ts"
import { table } from "./output.ts"

export interface Outcome {
  readonly steps: ReadonlyArray<Run.StepDescription>
  readonly ledger: ReadonlyArray<Entry>
  /** The names of the workers by their process ids. */
  readonly workers: ReadonlyMap<number, string>
}

const millis = (from: Date | undefined, to: Date | undefined) =>
  from === undefined || to === undefined ? undefined : to.getTime() - from.getTime()

/** Every attempt of every step. A step that was interrupted by the crash counts from its first start. */
export const stepTable = ({ ledger, steps, workers }: Outcome): string => {
  const first = steps[0]?.startedAt
  const doneBy = (step: Run.StepDescription) =>
    workers.get(ledger.find((entry) => entry.step === step.name && entry.attempt === step.attempt)?.pid ?? 0) ?? ""
  return table([
    ["STEP", "STATUS", "ATTEMPT", "START", "DURATION", "DONE BY", "ERROR"],
    ...steps.map((step) => [
      step.name,
      step.status,
      `${step.attempt}`,
      `+${millis(first, step.startedAt) ?? "?"} ms`,
      `${millis(step.startedAt, step.finishedAt) ?? "?"} ms`,
      doneBy(step),
      step.error?.message ?? ""
    ])
  ])
}

/** The promises, and whether each was kept. */
export const checks = ({ ledger, steps, workers }: Outcome): ReadonlyArray<readonly [what: string, holds: boolean]> => {
  const completed = steps.filter((step) => step.kind === "FUNCTION" && step.status === "COMPLETED")
  const done = completed.map((step) => step.name)
  const charges = steps.filter((step) => step.name === "charge-card").map((step) => step.status)
  const sleeps = steps.filter((step) => step.kind === "SLEEP")
  const by = ledger.map((entry) => `${entry.step} ${workers.get(entry.pid)}`)
  return [
    [
      "each completed step stands in the ledger exactly once, and nothing else does",
      done.length === 4 && ledger.map((entry) => entry.step).join() === done.join()
    ],
    ["the flaky step failed once and was tried again", charges.join() === "FAILED,COMPLETED"],
    [
      "the sleep was not cut short",
      sleeps.length === 1 && sleeps.every((step) => (millis(step.startedAt, step.finishedAt) ?? 0) >= 1000)
    ],
    [
      "the second worker went on where the first was killed",
      by.join() === "reserve-stock worker 1,charge-card worker 1,pack-parcel worker 2,send-invoice worker 2"
    ]
  ]
}
