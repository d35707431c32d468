import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as RetryPolicy from "../../../src/RetryPolicy.ts"
import * as Step from "../../../src/Step.ts"
import type { Fault } from "../../../src/testing/simulator/Faults.ts"
import * as Simulator from "../../../src/testing/simulator/Simulator.ts"
import * as Simulation from "../../../src/testing/simulator/Simulation.ts"
import { troubles } from "../../../src/testing/simulator/Tally.ts"
import * as workload from "../../../src/testing/simulator/workload.ts"
import * as Workflow from "../../../src/Workflow.ts"
import { passes } from "./courses.ts"
import { broken } from "./sabotage.ts"
import { once } from "./seeds.ts"

const digestPath = join(import.meta.dirname, "digest.ts")

describe("a simulation", () => {
  it.live("takes the same course for the same seed", () =>
    Effect.gen(function* () {
      for (const seed of [1, 2, 3]) {
        const first = yield* Simulator.run({ seed, ...workload, keepTrace: true })
        const second = yield* Simulator.run({ seed, ...workload, keepTrace: true })
        assert.isAbove(first.trace.length, 200)
        assert.deepStrictEqual(second.trace, first.trace)
        assert.deepStrictEqual(second, first)
      }
    })
  )

  it.live("takes the same course in every process", () =>
    Effect.gen(function* () {
      const digest = (pid: number) =>
        Effect.promise(() => promisify(execFile)(process.execPath, [digestPath, "4", String(pid)]))
      // what a number takes on the wire differs
      const [small, large] = yield* Effect.all([digest(2), digest(4_000_000)], { concurrency: "unbounded" })
      assert.match(small.stdout, /^2 -?\d+\n$/)
      assert.strictEqual(large.stdout, small.stdout.replace(/^2 /, "4000000 "))
    })
  )

  it.live("takes another course for another seed, and for other faults", () =>
    Effect.gen(function* () {
      const { digest } = yield* Simulator.run({ seed: 1, ...workload, faults: [] })
      assert.notStrictEqual((yield* Simulator.run({ seed: 2, ...workload, faults: [] })).digest, digest)
      const faults: ReadonlyArray<Fault> = [{ _tag: "Crash", machine: "worker-1", at: 5_000, lasts: 500 }]
      assert.notStrictEqual((yield* Simulator.run({ seed: 1, ...workload, faults })).digest, digest)
    })
  )

  it.live("counts what came about, and not what was only to", () =>
    Effect.gen(function* () {
      const faults: ReadonlyArray<Fault> = [
        { _tag: "Crash", machine: "worker-1", at: 5_000, lasts: 500 },
        { _tag: "Crash", machine: "worker-1", at: 5_100, lasts: 500 },
        { _tag: "Crash", machine: "worker-99", at: 5_000, lasts: 500 },
        { _tag: "Skew", machine: "server-1", millis: 5_000 }
      ]
      const { counts } = yield* Simulator.run({ seed: 1, ...workload, faults })
      for (const trouble of troubles) {
        const isThere = trouble === "crash of a worker" || trouble === "wrong clock of a server"
        assert.strictEqual(counts[trouble], isThere ? 1 : 0, trouble)
      }
    })
  )

  it.live("takes workflows of the user's own, and says which faults it took to break them", () =>
    Effect.gen(function* () {
      let charged = 0
      const Order = Workflow.make("order", { output: Schema.Finite })
      const charge = Effect.andThen(
        Effect.sync(() => charged++),
        Effect.sleep("9 seconds")
      )
      const OrderLive = Order.implement(() =>
        Effect.gen(function* () {
          yield* Step.run("charge", Effect.asVoid(charge), { retry: RetryPolicy.make({ maximumAttempts: 3 }) })
          return 1
        })
      )
      const faults: ReadonlyArray<Fault> = [
        { _tag: "Skew", machine: "server-1", millis: 5_000 },
        { _tag: "Crash", machine: "worker-1", at: 3_000, lasts: 100 }
      ]
      const outcome = yield* Simulator.run({
        seed: 1,
        servers: 1,
        workers: 1,
        clients: 1,
        workflows: [OrderLive],
        faults,
        client: () => Order.execute()
      })
      assert.deepStrictEqual(outcome.violations, [])
      assert.strictEqual(outcome.runs, 1)
      assert.strictEqual(charged, 2, "a step that its worker took down with it runs again")
    })
  )
})

describe("a broken build", () => {
  for (const { kind, name, options, promise, sabotage } of broken) {
    it.live(`with ${name} is found to break ${promise === "limits" ? promise : `promise ${promise}`}`, () =>
      Effect.gen(function* () {
        for (const seed of Simulator.seeds(25)) {
          const { violations } = yield* Simulation.run({ seed, ...workload, ...options, sabotage })
          if (violations.some((violation) => violation.promise === promise && violation.kind === kind)) return
        }
        assert.fail(`25 courses of events keep promise ${promise}`)
      })
    )
  }

  it.live("is shown with as few faults as it takes", () =>
    Effect.gen(function* () {
      const [{ options: faulty, sabotage }] = broken
      for (const seed of Simulator.seeds(25)) {
        const options = { seed, ...workload, ...faulty, sabotage }
        const outcome = yield* Simulation.run(options)
        if (!outcome.violations.some(({ promise }) => promise === 3) || outcome.faults.length < 3) continue
        const smallest = yield* Simulator.shrink(options, {
          ...outcome,
          violations: outcome.violations.filter(({ promise }) => promise === 3)
        })
        assert.isBelow(smallest.faults.length, outcome.faults.length)
        assert.isTrue(smallest.violations.some(({ promise }) => promise === 3))
        assert.include(Simulator.report(smallest), `Seed ${seed} breaks`)
        for (const left of smallest.faults) {
          const faults = smallest.faults.filter((fault) => fault !== left)
          const { violations } = yield* Simulation.run({ ...options, faults })
          assert.isFalse(violations.some(({ kind, promise }) => promise === 3 && kind === "safety"))
        }
        return
      }
      assert.fail("there is none")
    })
  )
})

describe("faults at the same time", () => {
  it.live("each go on for as long as they last", () =>
    Effect.gen(function* () {
      const storm = { _tag: "Storm", delay: 2, loss: 1, repetition: 0 } as const
      const faults: ReadonlyArray<Fault> = [
        { ...storm, at: 1_000, lasts: 28_000 },
        { ...storm, at: 1_500, lasts: 10, loss: 0 },
        { _tag: "Stop", machine: "worker-1", at: 1_000, lasts: 28_000 },
        { _tag: "Stop", machine: "worker-1", at: 1_500, lasts: 10 },
        { _tag: "Isolate", machine: "worker-2", at: 1_000, lasts: 28_000 },
        { _tag: "Isolate", machine: "worker-2", at: 1_500, lasts: 10 }
      ]
      const { trace, violations } = yield* Simulator.run({ seed: 1, ...workload, workers: 2, faults, keepTrace: true })
      const between = trace.filter((line) => {
        const at = Number.parseInt(line, 10)
        return at > 1_600 && at < 29_000
      })
      assert.deepStrictEqual(violations, [])
      assert.isAbove(between.length, 0)
      assert.deepStrictEqual(
        between.filter((line) => / worker-[12]: | calls /.test(line)),
        []
      )
    })
  )
})

describe("a report", () => {
  it("has the numbers and the words of the README for what is promised", () => {
    const [, after = ""] = readFileSync("README.md", "utf8").split("\n## What is guaranteed\n\n")
    const [list = ""] = after.split("\n\n")
    const guarantees = list.split(/\n(?=\d)/).map((item) => item.replaceAll(/\s+/g, " "))
    const { limits: _, ...promises } = Simulator.promises
    const told = Object.entries(promises).map(([number, words]) => `${number}. ${words}`)
    assert.deepStrictEqual(
      guarantees.map((guarantee, index) => guarantee.slice(0, told[index]?.length)),
      told
    )
  })
})

describe("what was wrong once", () => {
  for (const { what, ...course } of once) it.live(`is not any more: ${what}`, () => passes(course))
})
