/** The whole command line. */
import { Effect, Stdio } from "effect"
import { CliConfig, CliOutput, Command, GlobalFlag } from "effect/cli"
import { version } from "../server/version.ts"
import { dev } from "./dev.ts"
import { presenter, settle } from "./failure.ts"
import { server } from "./server.ts"

const kagzi = Command.make("kagzi").pipe(
  Command.withDescription("Durable workflows: run a server, start workflows and look after them")
)

const run = Effect.gen(function* () {
  const [first] = yield* (yield* Stdio.Stdio).args
  // A server is ready sooner, and smaller, without the commands of its clients.
  if (first === server.name || first === dev.name) {
    return yield* Command.run(Command.withSubcommands(kagzi, [server, dev]), { version })
  }
  const { commands } = yield* Effect.promise(() => import("./commands.ts"))
  return yield* Command.run(Command.withSubcommands(kagzi, commands), { version })
})

/** Runs the command that the arguments of the process name, and gives the exit code. */
export const main = run.pipe(
  Effect.as(0),
  Effect.catchCause(settle),
  Effect.provide([
    CliConfig.layer({
      builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions, GlobalFlag.LogLevel]
    }),
    CliOutput.layerPresenter(presenter)
  ])
)
