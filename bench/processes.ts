/** The processes that are measured: what is compiled for the package, and the programs of this folder beside it. */
import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect, Layer, References } from "effect"
import { KagziClient } from "../src/index.ts"
import * as Process from "../test/support/process.ts"
import { Database } from "./database.ts"
import type { Load } from "./programs/load.ts"
import type { Row } from "./report.ts"
import type { Leases } from "./sizes.ts"

const repository = fileURLToPath(new URL("../", import.meta.url))
/** As in tsconfig.json of this folder. */
const built = "node_modules/.cache/kagzi-bench"

/** Compiles the sources as they are now, so that no process spends time or memory on types. */
export const build = Effect.sync(() => {
  const run = (program: string, ...args: ReadonlyArray<string>) =>
    execFileSync(program, args, { cwd: repository, stdio: "inherit" })
  run(join(repository, "node_modules/.bin/tsc"), "-p", "bench")
  run(process.execPath, ".ci/bundle.ts", join(built, "cli"))
  writeFileSync(join(repository, built, "package.json"), `{ "type": "module" }`)
})

export interface System {
  readonly address: string
  /** Of the server. */
  readonly pid: number
  readonly client: Layer.Layer<KagziClient>
  /** Asks the server to stop and waits until it has. */
  readonly stop: Effect.Effect<void>
}

export const leaseSettings = ({ heartbeat, lease, stale }: Leases): Readonly<Record<string, string>> => ({
  KAGZI_WORKER_HEARTBEAT_INTERVAL_SECS: String(heartbeat),
  KAGZI_WORKER_STALE_SECS: String(stale),
  KAGZI_WORKER_LEASE_SECS: String(lease)
})

/** A server process that is ready: on a database of its own unless one is given. */
export const server = Effect.fnUntraced(function* (
  options: { readonly environment?: Readonly<Record<string, string>>; readonly url?: string } = {}
) {
  const url = options.url ?? (yield* (yield* Database).make)
  const child = yield* Process.start(`${built}/cli/main.js`, {
    args: ["server", "--port", "0", "--db-url", url],
    environment: { ...options.environment, KAGZI_LOG_LEVEL: "warn" }
  })
  const address = yield* child.line(/^kagzi server listening on (.+)$/)
  const system: System = {
    address,
    pid: child.pid,
    client: Layer.provideMerge(
      Layer.orDie(KagziClient.layer({ address })),
      Layer.succeed(References.MinimumLogLevel, "Warn")
    ),
    stop: Effect.andThen(child.signal("SIGTERM"), Effect.asVoid(child.ended))
  }
  return system
})

/** One of the programs of this folder, for that server. */
const program = ({ address }: System, name: string, args: ReadonlyArray<string>, nodeOptions?: string) =>
  Process.start(`${built}/bench/programs/${name}.js`, {
    args,
    environment: {
      KAGZI_SERVER_ADDRESS: address,
      ...(nodeOptions === undefined ? {} : { NODE_OPTIONS: nodeOptions })
    }
  })

/** A program that says when it is ready. */
export const helper = Effect.fnUntraced(function* (
  system: System,
  name: string,
  args: ReadonlyArray<string>,
  nodeOptions?: string
) {
  const child = yield* program(system, name, args, nodeOptions)
  yield* child.line(/^ready$/)
  return child
})

/** `nodeOptions` are those of its process, as the variable NODE_OPTIONS has them. */
export const worker = (
  system: System,
  maxConcurrent: number,
  { hold = false, nodeOptions }: { readonly hold?: boolean; readonly nodeOptions?: string } = {}
) => helper(system, "worker", hold ? [String(maxConcurrent), "hold"] : [String(maxConcurrent)], nodeOptions)

/** Starts runs and waits for their results in a process of its own, and gives what it measured. */
export const load = Effect.fnUntraced(function* (system: System, load: Load) {
  const child = yield* program(system, "load", [JSON.stringify(load)])
  const figures: Row = JSON.parse(yield* child.line(/^\{.*\}$/))
  yield* child.ended
  return figures
})
