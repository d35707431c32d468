/** The whole command line. */
import { Effect } from "effect"
import { CliConfig, CliOutput, Command, GlobalFlag } from "effect/cli"
import { version } from "../server/version.ts"
import { dev } from "./dev.ts"
import { presenter, settle } from "./failure.ts"
import { health } from "./health.ts"
import { info } from "./info.ts"
import { namespace } from "./namespace/namespace.ts"
import { queue } from "./queue/queue.ts"
import { schedule } from "./schedule/schedule.ts"
import { server } from "./server.ts"
import { worker } from "./worker/worker.ts"
import { workflow } from "./workflow/workflow.ts"

const kagzi = Command.make("kagzi").pipe(
  Command.withDescription("Durable workflows: run a server, start workflows and look after them"),
  Command.withSubcommands([server, dev, workflow, schedule, worker, queue, namespace, health, info])
)

/** Runs the command that the arguments of the process name, and gives the exit code. */
export const main = Command.run(kagzi, { version }).pipe(
  Effect.as(0),
  Effect.catchCause(settle),
  Effect.provide([
    CliConfig.layer({
      builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions, GlobalFlag.LogLevel]
    }),
    CliOutput.layerPresenter(presenter)
  ])
)
