/**
 * `npm run chaos -- --minutes 10 --store postgres --seed 7` has real processes fail for so long, on a PostgreSQL of its
 * own or on SQLite, tells the faults, the runs and the time to recover, and ends with 1 where a promise is broken.
 */
import { parseArgs } from "node:util"
import { Effect } from "effect"
import * as Chaos from "../test/faults/chaos/chaos.ts"
import { isGood, report } from "../test/faults/chaos/report.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
    store: { type: "string", default: "postgres" },
    /** Milliseconds from one fault to the next in the mean. */
    every: { type: "string", default: "1500" }
  }
})

const [minutes, every] = [Number(values.minutes), Number(values.every)]
const { seed, store } = values
if (!(minutes > 0 && every > 0) || (store !== "postgres" && store !== "sqlite")) {
  console.error("Usage: npm run chaos -- [--minutes N] [--seed N] [--store postgres|sqlite] [--every MILLISECONDS]")
  process.exit(2)
}

console.log(`Seed ${seed} on ${store}, for ${minutes} minutes`)
const outcome = await Effect.runPromise(Chaos.run({ seed, store, seconds: Math.ceil(minutes * 60), every }))
console.log(report(outcome))
process.exit(isGood(outcome) ? 0 : 1)
