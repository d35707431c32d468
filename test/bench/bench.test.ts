/** The benchmark works: with tiny numbers, so that the figures say nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Process from "../support/process.ts"

const bench = (...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const child = yield* Process.start("bench/main.ts", { args: ["--quick", ...args] })
    return { code: yield* child.ended, lines: child.lines(), complaints: child.complaints() }
  }).pipe(Effect.scoped)

const speed = ["workflows_per_s", "steps_per_s", "latency_p50_ms", "latency_p95_ms", "sequential_steps_per_s"]

describe("npm run bench", () => {
  it.live(
    "measures speed and everything else that is asked for, and prints what other systems are measured with first",
    () =>
      Effect.gen(function* () {
        const others = ["scaling", "long", "payloads", "start"]
        const scenarios = ["throughput", "latency", "sequential", ...others].join(",")
        const { code, complaints, lines } = yield* bench("--json", "--scenario", scenarios)
        assert.strictEqual(code, 0, complaints)
        const [first, machine, ...reports] = lines.map((line) => JSON.parse(line))
        assert.deepStrictEqual(Object.keys(first), ["name", ...speed])
        for (const field of speed) assert.isAbove(first[field], 0, field)
        assert.containsAllKeys(machine, ["machine", "repeat"])
        assert.deepStrictEqual(
          reports.map(({ name }) => name),
          others.map((name) => `kagzi ${name}`)
        )
        for (const row of reports) {
          for (const [field, value] of Object.entries(row)) assert.isNotNull(value, `${field} is not a number`)
        }
      }),
    60_000
  )

  it.live("says what it can't measure", () =>
    Effect.gen(function* () {
      const [postgres, unknown] = yield* Effect.all(
        [bench("--store", "postgres"), bench("--scenario", "speed,latency")],
        { concurrency: 2 }
      )
      assert.strictEqual(postgres.code, 2)
      assert.include(postgres.complaints, "no PostgreSQL store yet")
      assert.strictEqual(unknown.code, 2)
      assert.include(unknown.complaints, 'no scenario "speed"')
    })
  )
})
