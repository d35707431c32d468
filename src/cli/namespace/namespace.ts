/** `kagzi namespace`. */
import { Command } from "effect/cli"
import * as Client from "../client.ts"
import { clientFlags } from "../flags.ts"
import * as Logging from "../logging.ts"
import { disable, enable } from "./enabled.ts"
import { create, update } from "./fields.ts"
import { get } from "./get.ts"
import { list } from "./list.ts"

export const namespace = Command.make("namespace").pipe(
  Command.withDescription("Make namespaces, which isolate runs, workers and schedules, and look after them"),
  Command.withShortDescription("Look after namespaces"),
  Command.withSubcommands([create, list, get, update, enable, disable]),
  Command.provide(Client.layer),
  Command.provide(Logging.layer()),
  Command.withGlobalFlags(clientFlags)
)
