/** The processes of the example. Each ends with its scope. */
import { Deferred, Effect, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { Ledger } from "./Ledger.ts"
import { say } from "./output.ts"

const path = (file: string) => `${import.meta.dirname}/${file}`

/** A Node process that hands over each line it prints, and in the end that it has ended. */
const start = Effect.fn(function* (options: {
  readonly program: ReadonlyArray<string>
  readonly env: Record<string, string>
  readonly onLine: (line: string) => Effect.Effect<unknown>
  readonly onEnd: Effect.Effect<unknown>
}) {
  const child = yield* ChildProcess.make(
    process.execPath,
    [...process.execArgv, "--import", path("lifeline.ts"), ...options.program],
    { env: options.env, extendEnv: true, stderr: "inherit", forceKillAfter: "5 seconds" }
  )
  const lines = child.stdout.pipe(Stream.decodeText, Stream.splitLines, Stream.runForEach(options.onLine))
  yield* Effect.forkScoped(Effect.andThen(Effect.ignore(lines), options.onEnd))
  return child
})

/**
 * `kagzi server` with a database in the folder, on a free port. Gives its address once it is ready.
 *
 * A worker that is silent for 2 seconds counts as dead here; the default is half a minute.
 */
export const startServer = Effect.fn(function* (folder: string) {
  const ready = yield* Deferred.make<string, Error>()
  yield* start({
    program: [path("../../src/cli/main.ts"), "server", "--port", "0", "--db-url", `sqlite:${folder}/kagzi.db`],
    env: {
      KAGZI_SERVER_HOST: "127.0.0.1",
      KAGZI_LOG_LEVEL: "warn",
      KAGZI_WORKER_HEARTBEAT_INTERVAL_SECS: "1",
      KAGZI_WORKER_LEASE_SECS: "2",
      KAGZI_WORKER_STALE_SECS: "2"
    },
    onLine: (line) => {
      const address = /^kagzi server listening on (\S+)$/.exec(line)?.[1]
      return Effect.andThen(say("server", line), address === undefined ? Effect.void : Deferred.succeed(ready, address))
    },
    onEnd: Deferred.fail(ready, new Error("The server ended before it was ready"))
  })
  return yield* Deferred.await(ready)
})

/** A worker of the example, under a name for its lines. `ended` fails when it has ended. */
export const startWorker = Effect.fn(function* (
  name: string,
  options: {
    readonly server: string
    readonly ledger: string
    readonly onLine?: (line: string) => Effect.Effect<unknown>
  }
) {
  const ended = yield* Deferred.make<never, Error>()
  const { kill, pid } = yield* start({
    program: [path("worker.ts")],
    env: { KAGZI_SERVER_ADDRESS: options.server, KAGZI_NAMESPACE: "default", [Ledger.variable]: options.ledger },
    onLine: (line) => Effect.andThen(say(name, line), options.onLine?.(line) ?? Effect.void),
    onEnd: Effect.andThen(say(name, "has ended"), Deferred.fail(ended, new Error(`${name} ended too early`)))
  })
  yield* say(name, `starts, process ${pid}`)
  return { pid, kill, ended: Deferred.await(ended) }
})
