/** `kagzi workflow start` and `execute`. */
import { Console, Effect, Option, Result, Stdio, Stream } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as RetryPolicy from "../../RetryPolicy.ts"
import { nothing, type Payload } from "../../Run.ts"
import { failed, UsageError } from "../failure.ts"
import { Output } from "../flags.ts"
import { print } from "../output.ts"
import { finish } from "../runs.ts"
import { KagziClient } from "../../KagziClient.ts"

const config = {
  type: Argument.String("type").pipe(Argument.withDescription("The workflow type")),
  queue: Flag.String("queue").pipe(
    Flag.withDescription("The task queue; named like the workflow type unless given"),
    Flag.optional
  ),
  input: Flag.String("input").pipe(
    Flag.withMetavar("json"),
    Flag.withDescription("The input; - reads it from stdin; null unless given"),
    Flag.optional
  ),
  id: Flag.String("id").pipe(
    Flag.withDescription("Your own id: while its run is unfinished, another start returns that run"),
    Flag.optional
  ),
  version: Flag.String("version").pipe(Flag.withDescription("The version of the workflow"), Flag.withDefault("")),
  retries: Flag.Int("retries").pipe(
    Flag.withMetavar("n"),
    Flag.withDescription("Attempts of the whole run, the first included; 0 is without limit"),
    Flag.filter(
      (n) => n >= 0,
      () => "0 or more"
    ),
    Flag.optional
  )
}

type Config = Command.Command.Config.Infer<typeof config>

const stdin = Effect.gen(function* () {
  const stdio = yield* Stdio.Stdio
  return yield* stdio.stdin.pipe(Stream.decodeText, Stream.mkString)
}).pipe(Effect.mapError((error) => failed(`Can't read stdin: ${error.message}`)))

/** The input of runs as it was given: text, or `-` for what comes on stdin; null without any. */
export const readInput = Effect.fnUntraced(function* (given: Option.Option<string>) {
  if (Option.isNone(given)) return nothing
  const text = given.value === "-" ? yield* stdin : given.value
  const parsed = Result.try(() => JSON.parse(text) as unknown)
  if (Result.isFailure(parsed)) {
    const reason = parsed.failure instanceof Error ? parsed.failure.message : "it can't be parsed"
    return yield* new UsageError({ message: `The input is not JSON: ${reason}` })
  }
  // As it was written: numbers keep their digits.
  return { data: new TextEncoder().encode(text.trim()), metadata: {} } satisfies Payload
})

const begin = Effect.fnUntraced(function* (options: Config) {
  const { namespace, protocol } = yield* KagziClient
  const id = Option.getOrElse(options.id, () => crypto.randomUUID() as string)
  const started = yield* protocol.start({
    namespace,
    externalId: id,
    taskQueue: Option.getOrElse(options.queue, () => options.type),
    workflowType: options.type,
    version: options.version,
    input: yield* readInput(options.input),
    ifExists: "use-active",
    ...(Option.isSome(options.retries)
      ? { retryPolicy: RetryPolicy.make({ maximumAttempts: options.retries.value }) }
      : {})
  })
  return { ...started, id }
})

const said = ({ alreadyExists, id, runId }: Effect.Success<ReturnType<typeof begin>>) =>
  alreadyExists ? `Run ${runId} of ${id} was there already` : `Started run ${runId} of ${id}`

export const start = Command.make(
  "start",
  config,
  Effect.fnUntraced(function* (options) {
    const { alreadyExists, id, runId } = yield* begin(options)
    yield* print({ json: () => ({ runId, id, alreadyExists }), text: () => said({ alreadyExists, id, runId }) })
  })
).pipe(
  Command.withDescription("Start a run. JSON: { runId, id, alreadyExists }"),
  Command.withShortDescription("Start a run")
)

export const execute = Command.make(
  "execute",
  config,
  Effect.fnUntraced(function* (options) {
    const started = yield* begin(options)
    // Whoever gives up waiting knows which run goes on.
    if ((yield* Output) === "table") yield* Console.error(said(started))
    yield* finish(started.runId)
  })
).pipe(
  Command.withDescription(
    "Start a run, wait for its end and print its output. JSON: { runId, id, status, output, error }"
  ),
  Command.withShortDescription("Start a run and print its result")
)
