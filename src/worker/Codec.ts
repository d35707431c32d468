/** Values as payloads: JSON text in UTF-8, by a schema or as it is. */
import { Effect, Result, Schema } from "effect"
import { nothing, type Payload } from "../Run.ts"

/** A schema that needs no service, of any type. */
export type AnySchema = Schema.ConstraintCodec<unknown, unknown>

/** Both ways between a value and its payload. The failure is the reason, for messages; it names the field. */
export interface Codec<A> {
  readonly encode: (value: unknown) => Effect.Effect<Payload, string>
  readonly decode: (payload: Payload) => Effect.Effect<A, string>
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** The canonical JSON of a schema: what JSON can't say, such as a date, is written as the schema knows how. */
export const make = <S extends AnySchema>(schema: S): Codec<S["Type"]> => {
  const codec = Schema.toCodecJson(schema)
  const encode = Schema.encodeUnknownEffect(codec)
  const decode = Schema.decodeUnknownEffect(codec)
  return {
    encode: (value) =>
      encode(value).pipe(
        Effect.mapError((error) => error.message),
        Effect.flatMap((encoded) => Effect.fromResult(stringify(encoded)))
      ),
    decode: (payload) =>
      Effect.fromResult(parse(payload)).pipe(
        Effect.flatMap((value) => Effect.mapError(decode(value), (error) => error.message))
      )
  }
}

/** Marks the record of a value that JSON has no word for. Where it gets lost, the value reads as null. */
const undefinedMark = "kagzi.undefined"

/** Values that JSON can hold as they are. Others are refused where JSON would change them without a word. */
export const json: Codec<unknown> = {
  encode: (value) =>
    value === undefined
      ? Effect.succeed({ data: nothing.data, metadata: { [undefinedMark]: "true" } })
      : Effect.fromResult(stringify(value)),
  decode: (payload) =>
    payload.metadata[undefinedMark] === "true" ? Effect.undefined : Effect.fromResult(parse(payload))
}

/** What a payload holds, read without a schema. Nothing at all is null. */
export const parse = ({ data }: Payload): Result.Result<unknown, string> =>
  data.length === 0
    ? Result.succeed(null)
    : Result.try({
        try: (): unknown => JSON.parse(decoder.decode(data)),
        catch: (error) => `it is not JSON text (${reasonOf(error)})`
      })

/** Whether a value is JSON without a look into it, as most inputs of steps are. */
const isPlain = (value: unknown): boolean =>
  value === null || typeof value === "string" || typeof value === "boolean" || Number.isFinite(value)

/** The payload of a JSON value, or why the value is none. */
export const stringify = (value: unknown): Result.Result<Payload, string> => {
  if (isPlain(value)) return Result.succeed({ data: encoder.encode(JSON.stringify(value)), metadata: {} })
  let problem: string | undefined
  const check = function (this: unknown, key: string, replaced: unknown) {
    // What `toJSON` would hide, a date for one, is still to be seen in the holder.
    const item = typeof this === "object" && this !== null ? (this as Readonly<Record<string, unknown>>)[key] : replaced
    const reason = notJson(item)
    if (reason !== undefined) problem ??= `${reason}${key === "" ? "" : ` at ${JSON.stringify(key)}`}`
    return reason === undefined ? replaced : null
  }
  return Result.flatMap(
    Result.try({ try: () => JSON.stringify(value, check), catch: reasonOf }),
    (text): Result.Result<Payload, string> =>
      problem === undefined ? Result.succeed({ data: encoder.encode(text), metadata: {} }) : Result.fail(problem)
  )
}

const notJson = (value: unknown): string | undefined => {
  switch (typeof value) {
    case "number":
      return Number.isFinite(value) ? undefined : `${value} is not a JSON value`
    case "bigint":
    case "function":
    case "symbol":
      return `a ${typeof value} is not a JSON value`
    case "object":
      return value instanceof Map || value instanceof Set || value instanceof Date || ArrayBuffer.isView(value)
        ? `a ${value.constructor.name} is not a JSON value`
        : undefined
    default:
      return undefined
  }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
