/** The log, on stderr: stdout belongs to what a command prints. */
import { Config, Effect, Layer, Logger, type LogLevel, Option, References, Stdio } from "effect"
import { GlobalFlag } from "effect/cli"
import { failed } from "./failure.ts"

export type Format = "pretty" | "json" | "logfmt"

const formats: ReadonlyArray<Format> = ["pretty", "json", "logfmt"]

const levels: ReadonlyArray<LogLevel.LogLevel> = ["All", "Trace", "Debug", "Info", "Warn", "Error", "Fatal", "None"]

const choice = Effect.fnUntraced(function* <A extends string>(variable: string, choices: ReadonlyArray<A>) {
  const text = Option.getOrElse(yield* Config.option(Config.String(variable)), () => "")
  if (text === "") return Option.none<A>()
  const found = choices.find((known) => known.toLowerCase() === text.toLowerCase())
  if (found !== undefined) return Option.some(found)
  return yield* failed(`${variable} must be one of ${choices.join(", ").toLowerCase()}, not ${JSON.stringify(text)}`)
})

const logger = (format: Format, colors: boolean) => {
  switch (format) {
    case "pretty":
      return Logger.consolePretty({ colors })
    case "json":
      return Logger.withConsoleError(Logger.formatJson)
    case "logfmt":
      return Logger.withConsoleError(Logger.formatLogFmt)
  }
}

/**
 * Logs as `--log-level`, `KAGZI_LOG_LEVEL` and `KAGZI_LOG_FORMAT` say. Without a format it is the given one, else pretty
 * on a terminal and logfmt elsewhere.
 */
export const layer = (standard?: Format) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const variable = yield* choice("KAGZI_LOG_LEVEL", levels)
      const level = Option.orElse(Option.flatten(yield* Effect.serviceOption(GlobalFlag.LogLevel)), () => variable)
      const format = yield* choice("KAGZI_LOG_FORMAT", formats)
      const terminal = yield* (yield* Stdio.Stdio).stderrIsTerminal
      const chosen = Option.getOrElse(format, () => standard ?? (terminal ? "pretty" : "logfmt"))
      const plain = Option.isSome(yield* Config.option(Config.NonEmptyString("NO_COLOR")))
      return Layer.mergeAll(
        Logger.layer([logger(chosen, terminal && !plain), Logger.tracerLogger]),
        Layer.succeed(Logger.LogToStderr, true),
        Layer.succeed(
          References.MinimumLogLevel,
          Option.getOrElse(level, () => "Info" as const)
        )
      )
    })
  )
