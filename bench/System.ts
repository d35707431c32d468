/** The processes that are measured. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, Layer, References } from "effect"
import { KagziClient } from "../src/index.ts"
import * as Process from "../test/support/process.ts"

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "kagzi-bench-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

export interface System {
  readonly address: string
  readonly client: Layer.Layer<KagziClient>
}

/** A server process on a database file of its own. `environment` is the server's. */
export const server = Effect.fnUntraced(function* (environment: Readonly<Record<string, string>> = {}) {
  const folder = yield* temporaryFolder
  const child = yield* Process.start("src/cli/main.ts", {
    args: ["server", "--port", "0", "--db-url", `sqlite:${join(folder, "kagzi.db")}`],
    environment: { ...environment, KAGZI_LOG_LEVEL: "warn" }
  })
  const address = yield* child.line(/^kagzi server listening on (.+)$/)
  const system: System = {
    address,
    client: Layer.provideMerge(
      Layer.orDie(KagziClient.layer({ address })),
      Layer.succeed(References.MinimumLogLevel, "Warn")
    )
  }
  return system
})

/** A process for that server, which is ready. */
export const helper = Effect.fnUntraced(function* (system: System, script: string, ...args: ReadonlyArray<string>) {
  const child = yield* Process.start(`bench/${script}`, {
    args,
    environment: { KAGZI_SERVER_ADDRESS: system.address }
  })
  yield* child.line(/^ready$/)
  return child
})
