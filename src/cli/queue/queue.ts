/** `kagzi queue`. */
import { Command } from "effect/cli"
import * as Client from "../client.ts"
import { clientFlags } from "../flags.ts"
import * as Logging from "../logging.ts"
import { depth } from "./depth.ts"
import { list } from "./list.ts"

export const queue = Command.make("queue").pipe(
  Command.withDescription("See what waits on the task queues of a namespace"),
  Command.withShortDescription("Look at task queues"),
  Command.withSubcommands([list, depth]),
  Command.provide(Client.layer),
  Command.provide(Logging.layer()),
  Command.withGlobalFlags(clientFlags)
)
