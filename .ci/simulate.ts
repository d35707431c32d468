/**
 * `npm run simulate -- --seeds 1000` carries out so many courses of events, from seed `--first` (1), on `--jobs`
 * processes, and ends with 1 where one breaks what is promised: with its seed and the fewest faults that do so.
 * `npm run simulate -- --seed 7` carries out one, and prints what happened.
 */
import { spawn } from "node:child_process"
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { Effect } from "effect"
import { Simulator } from "../src/testing/index.ts"
import * as workload from "../src/testing/simulator/workload.ts"

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    seed: { type: "string" },
    first: { type: "string", default: "1" },
    jobs: { type: "string", default: String(availableParallelism()) },
    /** Of the process that it was started by: every so-manieth seed. */
    step: { type: "string", default: "0" }
  }
})

const number = (text: string): number => {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= 0) return value
  console.error(`"${text}" is no whole number`)
  process.exit(2)
}

for (const name of ["seeds", "jobs"] as const) {
  // a process that another one has started may have none to carry out
  if (number(values[name]) > 0 || values.step !== "0") continue
  console.error(`--${name} must be 1 or more`)
  process.exit(2)
}

const [seeds, first, jobs, step] = [values.seeds, values.first, values.jobs, values.step].map(number) as [
  number,
  number,
  number,
  number
]

/** One course, with every line of it. */
const one = Effect.fnUntraced(function* (seed: number) {
  const outcome = yield* Simulator.run({ seed, ...workload, keepTrace: true })
  for (const line of outcome.trace) console.log(line)
  const { millis, runs, steps, violations } = outcome
  console.log(violations.length > 0 ? Simulator.report(outcome) : `Seed ${seed} keeps what is promised.`)
  console.log(`${runs} runs and ${steps} attempts of steps in ${(millis / 1_000).toFixed(1)} s of virtual time`)
  return violations.length === 0
})

/** Answers whether all courses of this process keep what is promised. */
const some = Effect.fnUntraced(function* () {
  let good = true
  for (let seed = first; seed < first + seeds; seed += step) {
    const found = yield* Simulator.check({ seed, ...workload })
    if (found === undefined) continue
    good = false
    console.log(Simulator.report(found))
  }
  return good
})

const child = (index: number): Promise<boolean> => {
  const args = ["--first", String(first + index), "--seeds", String(Math.max(0, seeds - index)), "--step", String(jobs)]
  return new Promise((resolve) => {
    spawn(process.execPath, [...process.execArgv, import.meta.filename, ...args], { stdio: "inherit" }).once(
      "exit",
      (code) => resolve(code === 0)
    )
  })
}

const all = async (): Promise<boolean> => {
  const begun = performance.now()
  const good = await Promise.all(Array.from({ length: jobs }, (_, index) => child(index)))
  const seconds = (performance.now() - begun) / 1_000
  const speed = `${seeds} seeds in ${seconds.toFixed(1)} s, ${(seeds / seconds).toFixed(1)} a second on ${jobs} processes`
  console.log(good.every(Boolean) ? `${speed}: all keep what is promised.` : `${speed}.`)
  return good.every(Boolean)
}

const passed =
  values.seed !== undefined ? Effect.runPromise(one(number(values.seed))) : step > 0 ? Effect.runPromise(some()) : all()
process.exitCode = (await passed) ? 0 : 1
