/** `kagzi worker`. */
import { Command } from "effect/cli"
import * as Client from "../client.ts"
import { clientFlags } from "../flags.ts"
import * as Logging from "../logging.ts"
import { drain } from "./drain.ts"
import { get } from "./get.ts"
import { list } from "./list.ts"

export const worker = Command.make("worker").pipe(
  Command.withDescription("See the workers of a namespace, and stop one gently"),
  Command.withShortDescription("Look after workers"),
  Command.withSubcommands([list, get, drain]),
  Command.provide(Client.layer),
  Command.provide(Logging.layer()),
  Command.withGlobalFlags(clientFlags)
)
