/**
 * `npm run bench -- --help`
 *
 * Starts the processes of a system, measures them and prints the figures. The first line has the figures that other
 * systems are measured with too, as JSON.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, References } from "effect"
import { CliOutput, Command, Flag } from "effect/cli"
import { presenter, settle, UsageError } from "../src/cli/failure.ts"
import { version } from "../src/server/version.ts"
import { describe, inspect } from "./machine.ts"
import { build } from "./processes.ts"
import { type Report, toJson, toMarkdown, toText } from "./report.ts"
import { memory, start } from "./scenarios/footprint.ts"
import { long } from "./scenarios/long.ts"
import { payloads } from "./scenarios/payloads.ts"
import { recovery } from "./scenarios/recovery.ts"
import { scaling } from "./scenarios/scaling.ts"
import { type Options, speed } from "./scenarios/speed.ts"
import { timers } from "./scenarios/timers.ts"
import { full, quick } from "./sizes.ts"

/** Reported together, in this order. */
const speeds = ["throughput", "latency", "sequential"]
const others = { timers, recovery, scaling, long, payloads, memory, start }
const names = [...speeds, ...Object.keys(others)]

const flags = {
  scenario: Flag.String("scenario").pipe(
    Flag.withMetavar("a,b"),
    Flag.withDescription(`Only these of ${names.join(", ")}`),
    Flag.withDefault(names.join(","))
  ),
  repeat: Flag.Int("repeat").pipe(
    Flag.withMetavar("n"),
    Flag.withDescription("Measure so often, and give the median of each figure"),
    Flag.filter(
      (n) => n >= 1,
      () => "a number above 0"
    ),
    Flag.withDefault(1)
  ),
  processes: Flag.Literals("processes", ["2", "3"]).pipe(
    Flag.withDescription(
      "2: the worker is in the client's process, as other systems are measured; 3: in one of its own"
    ),
    Flag.withDefault("2" as const)
  ),
  store: Flag.Literals("store", ["sqlite", "postgres"]).pipe(Flag.withDefault("sqlite" as const)),
  json: Flag.Boolean("json").pipe(Flag.withDescription("A line of JSON for each scenario"), Flag.withDefault(false)),
  markdown: Flag.Boolean("markdown").pipe(Flag.withDescription("Tables for a page"), Flag.withDefault(false)),
  quick: Flag.Boolean("quick").pipe(
    Flag.withDescription("Only see that everything works: the figures say nothing"),
    Flag.withDefault(false)
  )
}

const bench = Command.make(
  "bench",
  flags,
  Effect.fnUntraced(function* ({ json, markdown, processes, repeat, scenario, store, ...flags }) {
    const wanted = new Set(scenario.split(","))
    const unknown = [...wanted].find((name) => !names.includes(name))
    if (unknown !== undefined) {
      return yield* new UsageError({ message: `there is no scenario "${unknown}"; there are ${names.join(", ")}` })
    }
    if (store === "postgres") return yield* new UsageError({ message: "there is no PostgreSQL store yet" })

    const options: Options = { sizes: flags.quick ? quick : full, repeat, processes: processes === "2" ? 2 : 3 }
    const machine = inspect(options.processes)
    const settings = repeat === 1 ? "measured once" : `medians of ${repeat}`
    const format = json ? toJson : markdown ? toMarkdown : toText
    const print = (report: Report) => Console.log(format(report))

    yield* build
    const first = speeds.some((name) => wanted.has(name)) ? yield* speed(options, wanted) : undefined
    // Above all else, so that it can stand under the lines of other systems.
    if (first !== undefined && !markdown) yield* Console.log(toJson(first))
    yield* Console.log(json ? JSON.stringify({ machine, repeat }) : `${describe(machine)}\n${settings}`)
    if (first !== undefined && !json) yield* print(first)
    for (const [name, measure] of Object.entries(others)) {
      if (!wanted.has(name)) continue
      yield* Console.error(`measuring: ${name}`)
      yield* print(yield* measure(options))
    }
  })
).pipe(Command.withDescription("Measure kagzi on this machine"))

Command.run(bench, { version }).pipe(
  Effect.as(0),
  Effect.tapError((error) => (error.cause === undefined ? Effect.void : Console.error(error.cause))),
  Effect.catchCause(settle),
  Effect.provide([NodeServices.layer, CliOutput.layerPresenter(presenter)]),
  Effect.provideService(References.MinimumLogLevel, "Warn"),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    teardown: (exit, onExit) => onExit(exit._tag === "Success" ? Number(exit.value) : 1)
  })
)
