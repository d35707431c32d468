/** How a command fails: one line on stderr, and the exit code of the process. */
import { Cause, Console, Context, Data, Effect, type Ref, Result } from "effect"
import { CliError, CliOutput } from "effect/cli"
import * as KagziError from "../KagziError.ts"
import { printable } from "./table.ts"

/** The operation failed: exit code 1. */
export class CommandFailed extends Data.TaggedError("CommandFailed")<{ readonly message: string }> {}

/** What was asked for makes no sense: exit code 2. */
export class UsageError extends Data.TaggedError("UsageError")<{ readonly message: string }> {}

export const failed = (message: string): CommandFailed => new CommandFailed({ message })

const exitFailed = 1
const exitUsage = 2

/** The exit code when a signal ends the command. */
export class InterruptCode extends Context.Service<InterruptCode, Ref.Ref<number>>()("kagzi/cli/InterruptCode") {}

const unreachable = "Can't reach"

/** One line, whatever the message. */
const line = (text: string): string => printable(text.trim().replaceAll(/\s*[\r\n]+\s*/g, " "))

const messageOf = (error: unknown): string => {
  if (KagziError.isKagziError(error)) {
    return error._tag === "Unavailable" && error.message.startsWith(unreachable)
      ? `${error.message} (is it running? \`kagzi dev\` starts one)`
      : error.message
  }
  return error instanceof Error ? error.message || error.name : String(error)
}

const report = (message: string) => Console.error(`kagzi: ${line(message)}`)

/** Shows help as usual. Of arguments that make no sense it says what is wrong, instead of showing the whole help. */
export const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? report(`${event.errors.map(messageOf).join("; ")} (see \`${event.commandPath.join(" ")} --help\`)`)
      : CliOutput.defaultPresenter.present(event)
}

/** Reports a failure and gives the exit code. What is wrong with the arguments has been reported by then. */
export const settle = Effect.fnUntraced(function* (cause: Cause.Cause<unknown>) {
  const found = Cause.findError(cause)
  if (Result.isFailure(found)) {
    // A bug: whoever reports it needs to know where.
    yield* Console.error(`kagzi: internal error\n${Cause.pretty(cause)}`)
    return exitFailed
  }
  const error = found.success
  if (CliError.isCliError(error)) {
    if (error._tag === "ShowHelp") return error.errors.length === 0 ? 0 : exitUsage
    yield* report(messageOf(error))
    return exitUsage
  }
  yield* report(messageOf(error))
  return error instanceof UsageError ? exitUsage : exitFailed
})
