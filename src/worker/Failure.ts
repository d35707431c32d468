/** How what went wrong in a step or a body becomes a failure on record. */
import { Cause, Duration, Formatter, Option, Predicate } from "effect"
import * as KagziError from "../KagziError.ts"
import { tagMark } from "../marks.ts"
import { AmbiguousStep, NonDeterministic } from "./Branch.ts"

/** Marks failures that come from a bug: something thrown instead of failed with. */
export const defectMark = "kagzi.defect"

/** What a record without its error is read as; servers always keep one. */
export const unknown: KagziError.Detail = KagziError.toDetail(
  new KagziError.Internal({ message: "The step failed and the server did not say why" })
)

/** One attempt of a step took longer than its `timeout`. */
export const timeout = (name: string, limit: Duration.Input): KagziError.Detail =>
  KagziError.toDetail(
    new KagziError.Timeout({
      message: `Step "${name}" took longer than ${Duration.format(Duration.fromInputUnsafe(limit))}`,
      subject: "step",
      subjectId: name
    })
  )

/** Anything can be thrown, also what has no text of its own. */
const textOf = (value: unknown): string => (typeof value === "string" ? value : Formatter.format(value))

/** The failure of a cause: the expected one if there is one, else the defect, else the interruption. */
export const fromCause = (cause: Cause.Cause<KagziError.Detail>): KagziError.Detail => {
  const expected = Cause.findErrorOption(cause)
  if (Option.isSome(expected)) return expected.value
  if (Cause.hasInterruptsOnly(cause)) {
    return KagziError.toDetail(new KagziError.Internal({ message: "Interrupted" }))
  }
  const defect = Cause.squash(cause)
  if (KagziError.isKagziError(defect)) {
    return KagziError.toDetail(defect)
  }
  const tag = Predicate.hasProperty(defect, "_tag") ? textOf(defect._tag) : undefined
  const message = textOf(defect instanceof Error ? defect.message : defect)
  if (defect instanceof NonDeterministic || defect instanceof AmbiguousStep) {
    return KagziError.toDetail(
      new KagziError.PreconditionFailed({ message: `${tag}: ${defect.message}`, metadata: { [tagMark]: defect._tag } })
    )
  }
  return KagziError.toDetail(
    new KagziError.Internal({
      message: tag === undefined ? message : `${tag}: ${message}`,
      metadata: { [defectMark]: "true", ...(tag === undefined ? {} : { [tagMark]: tag }) }
    })
  )
}
