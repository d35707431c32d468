/**
 * `npm run bench -- --help`
 *
 * Starts the processes of a system, measures them and prints the figures. The first line has the figures that other
 * systems are measured with too, as JSON.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect, Option, References } from "effect"
import { CliOutput, Command, Flag } from "effect/cli"
import { presenter, settle, UsageError } from "../src/cli/failure.ts"
import { version } from "../src/server/version.ts"
import { Database, postgres } from "./database.ts"
import { describe, inspect } from "./machine.ts"
import { build } from "./processes.ts"
import { type Report, toJson, toMarkdown, toText } from "./report.ts"
import { memory, start } from "./scenarios/footprint.ts"
import { long } from "./scenarios/long.ts"
import { payloads } from "./scenarios/payloads.ts"
import { recovery } from "./scenarios/recovery.ts"
import { servers } from "./scenarios/servers.ts"
import { scaling } from "./scenarios/scaling.ts"
import { type Options, speed } from "./scenarios/speed.ts"
import { timers } from "./scenarios/timers.ts"
import { full, quick } from "./sizes.ts"

/** Reported together, in this order. */
const speeds = ["throughput", "latency", "sequential"]
const others = { timers, recovery, servers, scaling, long, payloads, memory, start }
const names = [...speeds, ...Object.keys(others)]

/** What is measured unless it is said. */
const standard = (store: "sqlite" | "postgres") =>
  names.filter((name) => name !== (store === "sqlite" ? "servers" : "scaling"))

const flags = {
  scenario: Flag.String("scenario").pipe(
    Flag.withMetavar("a,b"),
    Flag.withDescription(`Only these of ${names.join(", ")}`),
    Flag.optional
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
  store: Flag.Literals("store", ["sqlite", "postgres"]).pipe(
    Flag.withDescription("postgres: one that is started for this, set as it comes"),
    Flag.withDefault("sqlite" as const)
  ),
  servers: Flag.Int("servers").pipe(
    Flag.withMetavar("n"),
    Flag.withDescription("Measure the scenario servers with up to so many"),
    Flag.filter(
      (n) => n >= 2,
      () => "a number above 1"
    ),
    Flag.withDefault(2)
  ),
  json: Flag.Boolean("json").pipe(Flag.withDescription("A line of JSON for each scenario"), Flag.withDefault(false)),
  markdown: Flag.Boolean("markdown").pipe(Flag.withDescription("Tables for a page"), Flag.withDefault(false)),
  quick: Flag.Boolean("quick").pipe(
    Flag.withDescription("Only see that everything works: the figures say nothing"),
    Flag.withDefault(false)
  )
}

interface Output {
  readonly json: boolean
  readonly markdown: boolean
}

const measureAll = Effect.fnUntraced(function* (
  options: Options,
  wanted: ReadonlySet<string>,
  { json, markdown }: Output
) {
  const machine = inspect(options.processes, yield* Database)
  const settings = options.repeat === 1 ? "measured once" : `medians of ${options.repeat}`
  const format = json ? toJson : markdown ? toMarkdown : toText
  const print = (report: Report) => Console.log(format(report))

  yield* build
  const first = speeds.some((name) => wanted.has(name)) ? yield* speed(options, wanted) : undefined
  // Above all else, so that it can stand under the lines of other systems.
  if (first !== undefined && !markdown) yield* Console.log(toJson(first))
  yield* Console.log(json ? JSON.stringify({ machine, repeat: options.repeat }) : `${describe(machine)}\n${settings}`)
  if (first !== undefined && !json) yield* print(first)
  for (const [name, measure] of Object.entries(others)) {
    if (!wanted.has(name)) continue
    yield* Console.error(`measuring: ${name}`)
    yield* print(yield* measure(options))
  }
})

const bench = Command.make(
  "bench",
  flags,
  Effect.fnUntraced(function* ({ json, markdown, processes, repeat, scenario, servers, store, ...flags }) {
    const wanted = new Set(Option.match(scenario, { onNone: () => standard(store), onSome: (text) => text.split(",") }))
    const unknown = [...wanted].find((name) => !names.includes(name))
    if (unknown !== undefined) {
      return yield* new UsageError({ message: `there is no scenario "${unknown}"; there are ${names.join(", ")}` })
    }
    if (store === "postgres" && wanted.has("scaling")) {
      return yield* new UsageError({ message: "only SQLite databases are filled for the scenario scaling" })
    }
    if (store === "sqlite" && wanted.has("servers")) {
      return yield* new UsageError({ message: "a SQLite file has one server; several need --store postgres" })
    }
    const options: Options = {
      sizes: flags.quick ? quick : full,
      repeat,
      processes: processes === "2" ? 2 : 3,
      servers,
      name: store === "postgres" ? "kagzi (pg)" : "kagzi"
    }
    const measuring = measureAll(options, wanted, { json, markdown })
    yield* store === "sqlite" ? measuring : Effect.scoped(Effect.provideServiceEffect(measuring, Database, postgres))
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
