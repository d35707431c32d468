/** Flags that every client command takes, before or after its name, and the flags that several of them share. */
import { Option } from "effect"
import { Argument, Flag, GlobalFlag } from "effect/cli"
import type { Status } from "../Run.ts"

export const Address = GlobalFlag.Setting("address")({
  flag: Flag.String("address").pipe(
    Flag.withMetavar("url"),
    Flag.withDescription("The server [KAGZI_SERVER_ADDRESS, http://127.0.0.1:50051]"),
    Flag.optional
  )
})

export const Namespace = GlobalFlag.Setting("namespace")({
  flag: Flag.String("namespace").pipe(
    Flag.withAlias("n"),
    Flag.withMetavar("name"),
    Flag.withDescription("The namespace [KAGZI_NAMESPACE, default]"),
    Flag.optional
  )
})

export const ApiKey = GlobalFlag.Setting("api-key")({
  flag: Flag.Redacted("api-key").pipe(
    Flag.withMetavar("key"),
    Flag.withDescription(
      "Sent as a bearer token; others on the machine can see it, the variable they can't [KAGZI_API_KEY]"
    ),
    Flag.optional
  )
})

export const Output = GlobalFlag.Setting("output")({
  flag: Flag.Literals("output", ["table", "json"]).pipe(
    Flag.withAlias("o"),
    Flag.withDescription("For people or for scripts"),
    Flag.withDefault("table" as const)
  )
})

/** What a client command is given with `Command.withGlobalFlags`. */
export const clientFlags = [Address, Namespace, ApiKey, Output] as const

/** The run that a command is about. */
export const run = Argument.String("run").pipe(
  Argument.withDescription("The id of a run, or your own id: then its unfinished run, else the newest")
)

/** The worker that a command is about. */
export const worker = Argument.String("worker").pipe(Argument.withDescription("The id of a worker"))

/** A task queue. */
export const queue = Flag.String("queue")

/** How many entries of a list to print. */
export const limit = Flag.Int("limit").pipe(
  Flag.withMetavar("n"),
  Flag.withDescription("At most that many"),
  Flag.filter(
    (n) => n >= 1,
    () => "1 or more"
  ),
  Flag.withDefault(20)
)

const statuses: ReadonlyArray<Status> = ["PENDING", "RUNNING", "SLEEPING", "COMPLETED", "FAILED", "CANCELLED"]

/** A status of runs, in any case. */
export const status = Flag.String("status").pipe(
  Flag.withMetavar(statuses.join("|").toLowerCase()),
  Flag.filterMap(
    (text) => Option.fromUndefinedOr(statuses.find((status) => status === text.toUpperCase())),
    () => `one of ${statuses.join(", ").toLowerCase()}`
  )
)
