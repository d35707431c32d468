/** What the process that is killed writes. */
import { endedRun, id, payload, stepOf } from "../contract/store/fixtures.ts"

/** One transaction, over all tables of runs and steps. */
export const written = (n: number) => ({
  insertRuns: [endedRun(n)],
  inputs: [{ runId: id(n), payload: payload(`"input ${n}"`) }],
  outputs: [{ runId: id(n), payload: payload(`"output ${n}"`) }],
  insertSteps: [stepOf(n, { runId: id(n), output: payload(`"${"x".repeat(3000)} ${n}"`) })]
})
