/** The flags that say what a schedule does, and the schedule that a command is about. */
import { Option } from "effect"
import { Argument, Flag } from "effect/cli"
import type { Overlap } from "../../Schedule.ts"

export const id = Argument.String("schedule").pipe(Argument.withDescription("The id of a schedule"))

const overlaps: ReadonlyArray<Overlap> = ["allow", "skip", "cancel"]

export const settings = {
  timezone: Flag.String("timezone").pipe(
    Flag.withMetavar("zone"),
    Flag.withDescription("The IANA time zone of the expression, like Europe/Berlin; UTC unless given"),
    Flag.optional
  ),
  queue: Flag.String("queue").pipe(
    Flag.withDescription("The task queue; named like the workflow type unless given"),
    Flag.optional
  ),
  input: Flag.String("input").pipe(
    Flag.withMetavar("json"),
    Flag.withDescription("The input of its runs; - reads it from stdin; null unless given"),
    Flag.optional
  ),
  version: Flag.String("version").pipe(Flag.withDescription("The version of the workflow"), Flag.optional),
  maxCatchup: Flag.String("max-catchup").pipe(
    Flag.withMetavar("n|unlimited"),
    Flag.withDescription("How many missed times are made up for, the newest ones; 50 unless given"),
    Flag.filterMap(
      (text) =>
        text === "unlimited" ? Option.some(-1) : /^\d{1,9}$/.test(text) ? Option.some(Number(text)) : Option.none(),
      () => "a number from 0 up, or unlimited"
    ),
    Flag.optional
  ),
  overlap: Flag.Literals("overlap", overlaps).pipe(
    Flag.withDescription(
      "When a run has not ended: start another one, skip the time, or cancel the earlier run; allow unless given"
    ),
    Flag.optional
  )
}

/** A count of lines. */
export const limit = (description: string, standard: number) =>
  Flag.Int("limit").pipe(
    Flag.withMetavar("n"),
    Flag.withDescription(description),
    Flag.filter(
      (n) => n >= 1,
      () => "1 or more"
    ),
    Flag.withDefault(standard)
  )

/** Leaves out what was not given. */
export const given = <K extends string, A>(key: K, value: Option.Option<A>): { readonly [P in K]?: A } =>
  (Option.isSome(value) ? { [key]: value.value } : {}) as { readonly [P in K]?: A }
