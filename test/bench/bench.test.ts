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

  it.live(
    "measures the same on PostgreSQL, and one server and two on one database",
    () =>
      Effect.gen(function* () {
        const scenarios = "throughput,latency,sequential,recovery,servers"
        const { code, complaints, lines } = yield* bench(...["--json", "--store", "postgres", "--scenario", scenarios])
        assert.strictEqual(code, 0, complaints)
        const [first, { machine }, recovery, servers] = lines.map((line) => JSON.parse(line))
        assert.deepStrictEqual(Object.keys(first), ["name", ...speed])
        assert.strictEqual(first.name, "kagzi (pg)")
        for (const field of speed) assert.isAbove(first[field], 0, field)
        assert.match(machine.store, /^PostgreSQL \d/)
        assert.match(machine.durability, /^fsync=on, synchronous_commit=on, full_page_writes=on/)
        assert.strictEqual(recovery.name, "kagzi recovery")
        assert.strictEqual(servers.name, "kagzi servers")
        const [one, two] = servers.rows
        assert.include(one, { servers: 1, ratio: 1 })
        assert.strictEqual(two.servers, 2)
        for (const row of [one, two]) assert.isAbove(row.workflows_per_s, 0)
      }),
    60_000
  )

  it.live("says what it can't measure", () =>
    Effect.gen(function* () {
      const [servers, unknown, scaling] = yield* Effect.all(
        [
          bench("--scenario", "servers"),
          bench("--scenario", "speed,latency"),
          bench("--store", "postgres", "--scenario", "scaling")
        ],
        { concurrency: 2 }
      )
      assert.strictEqual(servers.code, 2)
      assert.include(servers.complaints, "several need --store postgres")
      assert.strictEqual(scaling.code, 2)
      assert.include(scaling.complaints, "only SQLite")
      assert.strictEqual(unknown.code, 2)
      assert.include(unknown.complaints, 'no scenario "speed"')
    })
  )
})
