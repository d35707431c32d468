/**
 * `npm run bench [-- --scenario throughput,latency,sequential,timers] [--json]`
 *
 * Prints one line of JSON with what was measured of speed, and one with how late timers are. With `--json` there is
 * nothing else on stdout, and a first line says what was measured on what machine.
 */
import { parseArgs } from "node:util"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Effect } from "effect"
import { describe, machine } from "./machine.ts"
import * as Speed from "./speed.ts"
import * as System from "./System.ts"
import { leaseSeconds, timers } from "./timers.ts"

const scenarios = ["throughput", "latency", "sequential", "timers"] as const
type Scenario = (typeof scenarios)[number]

const isScenario = (name: string): name is Scenario => scenarios.some((known) => known === name)

const printLine = (value: unknown) => Console.log(JSON.stringify(value))

const speed = Effect.fnUntraced(function* (wanted: ReadonlySet<Scenario>) {
  const system = yield* System.server()
  yield* System.helper(system, "worker.ts")
  yield* Effect.gen(function* () {
    yield* Speed.warmUp
    yield* printLine({
      name: "kagzi",
      ...(wanted.has("throughput") ? yield* Speed.throughput : {}),
      ...(wanted.has("latency") ? yield* Speed.latency : {}),
      ...(wanted.has("sequential") ? yield* Speed.sequential : {})
    })
  }).pipe(Effect.provide(system.client))
}, Effect.scoped)

const lateness = Effect.gen(function* () {
  const system = yield* System.server({
    KAGZI_WORKER_LEASE_SECS: String(leaseSeconds),
    KAGZI_WORKER_HEARTBEAT_INTERVAL_SECS: "1"
  })
  yield* System.helper(system, "worker.ts")
  yield* printLine(yield* Effect.provide(timers(system), system.client))
}).pipe(Effect.scoped)

const main = Effect.gen(function* () {
  const { values } = parseArgs({ options: { scenario: { type: "string" }, json: { type: "boolean" } } })
  const names = values.scenario?.split(",") ?? scenarios
  const unknown = names.find((name) => !isScenario(name))
  if (unknown !== undefined) {
    return yield* Effect.fail(new Error(`There is no scenario ${unknown}; there are ${scenarios.join(", ")}`))
  }
  const wanted = new Set(names.filter(isScenario))
  yield* values.json === true ? printLine({ machine }) : Console.log(describe(machine))
  if (wanted.has("throughput") || wanted.has("latency") || wanted.has("sequential")) yield* speed(wanted)
  if (wanted.has("timers")) yield* lateness
})

NodeRuntime.runMain(main)
