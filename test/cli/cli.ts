/** The command line as people use it: a process each time. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Context, Effect, Layer } from "effect"
import { KagziClient, Run } from "../../src/index.ts"
import type { KagziError } from "../../src/index.ts"
import * as Process from "../support/process.ts"

const script = "src/cli/main.ts"

/** Starts a command that may go on. */
export const start = (args: ReadonlyArray<string>, options: Omit<Process.Options, "args"> = {}) =>
  Process.start(script, { ...options, args })

/** How a command ended and what it printed. */
export interface Ended {
  readonly code: number | NodeJS.Signals
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command to its end. */
export const run = (args: ReadonlyArray<string>, options?: Omit<Process.Options, "args">) =>
  Effect.gen(function* () {
    const child = yield* start(args, options)
    const code = yield* child.ended
    return { code, stdout: child.lines().join("\n"), stderr: child.complaints().trimEnd() } satisfies Ended
  }).pipe(Effect.scoped)

/** A folder that is gone with its scope. */
export const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "kagzi-cli-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** Waits until a server process is ready and gives its address. */
export const ready = (server: Process.Child) => server.line(/^kagzi server listening on (http:\/\/\S+)$/)

/** A server process on a file of its own. */
export class Server extends Context.Service<
  Server,
  {
    readonly address: string
    readonly file: string
    readonly process: Process.Child
    /** Starts a run without the command line, and gives its id. */
    readonly seed: (type: string, id: string, queue?: string) => Effect.Effect<string, KagziError>
    /** Runs a client command against it. */
    readonly kagzi: (args: ReadonlyArray<string>, input?: string) => Effect.Effect<Ended>
    /** The same with `--output json`: the exit code and what was printed. */
    readonly json: (
      args: ReadonlyArray<string>,
      input?: string
    ) => Effect.Effect<{ readonly code: Ended["code"]; readonly value: Json }>
  }
>()("test/cli/Server") {
  static readonly layer = Layer.effect(
    Server,
    Effect.gen(function* () {
      const own = yield* folder
      const file = join(own, "kagzi.db")
      const process = yield* start(["server", "--port", "0", "--db-url", `sqlite:${file}`])
      const address = yield* ready(process)
      const kagzi = (args: ReadonlyArray<string>, input = "") =>
        run(args, { environment: { KAGZI_SERVER_ADDRESS: address }, input })
      const { protocol } = yield* KagziClient.pipe(Effect.provide(yield* Layer.build(KagziClient.layer({ address }))))
      return Server.of({
        seed: (workflowType, externalId, taskQueue = workflowType) =>
          Effect.map(
            protocol.start({
              namespace: "default",
              externalId,
              taskQueue,
              workflowType,
              version: "",
              input: Run.nothing,
              ifExists: "use-active"
            }),
            ({ runId }) => runId
          ),
        address,
        file,
        process,
        kagzi,
        json: (args, input) =>
          Effect.map(kagzi([...args, "--output", "json"], input), ({ code, stderr, stdout }) => ({
            code,
            value: stdout === "" ? { stderr } : (JSON.parse(stdout) as Json)
          }))
      })
    })
  )
}

/** What was parsed; tests say what they expect of it. */
// biome-ignore lint/suspicious/noExplicitAny: the shape is what is tested
export type Json = any
