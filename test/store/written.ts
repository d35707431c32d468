/** What the processes that are killed write and remove. */
import type { RemovalRoom } from "../../src/store/Store.ts"
import { at, endedRun, id, payload, stepOf } from "../contract/store/fixtures.ts"

/** One transaction, over all tables of runs and steps. */
export const written = (n: number) => ({
  insertRuns: [endedRun(n)],
  inputs: [{ runId: id(n), payload: payload(`"input ${n}"`) }],
  outputs: [{ runId: id(n), payload: payload(`"output ${n}"`) }],
  insertSteps: [stepOf(n, { runId: id(n), output: payload(`"${"x".repeat(3000)} ${n}"`) })]
})

/** Each of the removals has room for three small runs of those below. */
export const smallRoom: RemovalRoom = { rows: 10, bytes: 1_000_000 }

export const stepCountOf = (n: number) => (n % 40 === 20 ? 35 : 2)

/** Ended runs from 1 to `count`: some of them, but not the last, with more steps than one removal has room for. */
export const ended = (count: number) => {
  const numbers = Array.from({ length: count }, (_, index) => index + 1)
  return {
    insertRuns: numbers.map((n) => endedRun(n, { createdAt: at + n, finishedAt: at + n, stepCount: stepCountOf(n) })),
    inputs: numbers.map((n) => ({ runId: id(n), payload: payload(`"input ${n}"`) })),
    outputs: numbers.map((n) => ({ runId: id(n), payload: payload(`"output ${n}"`) })),
    insertSteps: numbers.flatMap((n) =>
      Array.from({ length: stepCountOf(n) }, (_, index) =>
        stepOf(n * 100 + index, {
          runId: id(n),
          name: `s${index}`,
          position: index + 1,
          output: payload(`"${"x".repeat(2000)}"`)
        })
      )
    )
  }
}
