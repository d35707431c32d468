/**
 * Failures of steps and workflows with their types, to and from the record.
 *
 * A declared failure keeps its value, as JSON in the metadata, beside a message and a code that anyone can read.
 */
import { Effect, Predicate } from "effect"
import * as KagziError from "../KagziError.ts"
import { tagMark } from "../marks.ts"
import * as Codec from "./Codec.ts"
import { defectMark } from "./Failure.ts"

/** Where the record keeps the value of a declared failure. */
export const valueMark = "kagzi.error"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * The record of a failure. One that the schema takes is kept with its type: `final` says whether a retry is out of the
 * question. Otherwise it is an error of Kagzi, as the types demand; whatever else gets here is a bug of the caller.
 */
export const encode = (
  error: unknown,
  options: { readonly schema: Codec.AnySchema | undefined; readonly final: boolean; readonly subject: string }
): Effect.Effect<KagziError.Detail> => {
  const { final, schema, subject } = options
  const plain = (reason: string): KagziError.Detail =>
    KagziError.isKagziError(error)
      ? KagziError.toDetail(error)
      : asDefect(
          new KagziError.Internal({
            message: `${subject} failed with something that its \`error\` schema does not take: ${reason} (${messageOf(error)})`,
            nonRetryable: true
          })
        )
  if (schema === undefined) return Effect.succeed(plain("it has none"))
  return Codec.make(schema)
    .encode(error)
    .pipe(
      Effect.match({
        onFailure: plain,
        onSuccess: ({ data }): KagziError.Detail => {
          const tag = tagOf(error)
          const known: KagziError.Detail = KagziError.isKagziError(error)
            ? KagziError.toDetail(error)
            : KagziError.toDetail(new KagziError.Internal({ message: messageOf(error), nonRetryable: final }))
          return {
            ...known,
            metadata: {
              ...known.metadata,
              [valueMark]: decoder.decode(data),
              ...(tag === undefined ? {} : { [tagMark]: tag })
            }
          }
        }
      })
    )
}

/** A recorded failure, read again: as declared, as an error of Kagzi, or as something that no caller can expect. */
export type Decoded =
  | { readonly _tag: "Declared"; readonly error: unknown }
  | { readonly _tag: "Kagzi"; readonly error: KagziError.KagziError }
  | { readonly _tag: "Defect"; readonly error: KagziError.KagziError }
  | { readonly _tag: "Misfit"; readonly error: KagziError.KagziError }

/** Reads a record. A misfit is a value that the schema does not take (any more). */
export const decode = (
  detail: KagziError.Detail,
  options: { readonly schema: Codec.AnySchema | undefined; readonly subject: string }
): Effect.Effect<Decoded> => {
  const { schema, subject } = options
  const text = detail.metadata[valueMark]
  if (detail.metadata[defectMark] !== undefined) {
    return Effect.succeed({ _tag: "Defect", error: KagziError.fromDetail(detail) })
  }
  if (text === undefined) return Effect.succeed({ _tag: "Kagzi", error: KagziError.fromDetail(detail) })
  const misfit = (reason: string): Decoded => ({
    _tag: "Misfit",
    error: new KagziError.Internal({
      message: `The recorded failure of ${subject} does not fit its \`error\` schema: ${reason} (${detail.message})`,
      nonRetryable: true,
      metadata: detail.metadata
    })
  })
  if (schema === undefined) return Effect.succeed(misfit("it has none"))
  return Codec.make(schema)
    .decode({ data: encoder.encode(text), metadata: {} })
    .pipe(Effect.match({ onFailure: misfit, onSuccess: (error): Decoded => ({ _tag: "Declared", error }) }))
}

/** The record of an error that no caller can expect. */
export const asDefect = (error: KagziError.KagziError): KagziError.Detail => {
  const detail = KagziError.toDetail(error)
  return { ...detail, metadata: { ...detail.metadata, [defectMark]: "true" } }
}

const tagOf = (error: unknown): string | undefined =>
  Predicate.hasProperty(error, "_tag") && typeof error._tag === "string" ? error._tag : undefined

const messageOf = (error: unknown): string => {
  const message = Predicate.hasProperty(error, "message") ? error.message : error
  return typeof message === "string" && message !== "" ? message : (tagOf(error) ?? "It gave no message")
}
