/** The command line as a process. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Exit, Ref } from "effect"
import { InterruptCode } from "./failure.ts"
import { main } from "./root.ts"

const emitWarning = process.emitWarning

/** Node 22 warns that its SQLite is experimental, when a command loads it; the project has decided to build on it. */
const acceptSqlite = () => {
  process.emitWarning = (warning: string | Error, ...rest: ReadonlyArray<unknown>) => {
    if (rest[0] === "ExperimentalWarning" && String(warning).includes("SQLite")) return
    Reflect.apply(emitWarning, process, [warning, ...rest])
  }
}

/** Runs the command line as the process. */
export const run = () => {
  acceptSqlite()
  const interruptCode = Ref.makeUnsafe(130)
  main.pipe(
    Effect.provideService(InterruptCode, interruptCode),
    Effect.provide(NodeServices.layer),
    NodeRuntime.runMain({
      disableErrorReporting: true,
      teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) ? Number(exit.value) : Ref.getUnsafe(interruptCode))
    })
  )
}
