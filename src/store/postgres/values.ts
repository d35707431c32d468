/**
 * Values as PostgreSQL takes them, each with its type, and lists of rows as one array for each column: the text of a
 * statement stays the same for any number of rows, so that it is prepared once.
 */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import { Result } from "effect"
import type { Detail } from "../../KagziError.ts"
import type { Payload } from "../../Run.ts"
import type { Value } from "../rows/values.ts"

export type Parameter = PgTypes.Parameter

/** A statement and its parameters, `$1`, `$2`, … */
export interface Statement {
  readonly sql: string
  readonly params: ReadonlyArray<Parameter>
  /** What it is as a part of another statement, if it can be one: see combined.ts. */
  readonly part?: Part
}

/** What a statement is in another one: what it writes, under a name that no other has, and the value that it gives. */
export interface Part {
  readonly name?: string
  readonly write?: string
  readonly value?: string
  /** It can't be one with the statements before it: it has to see what they write, or they are large. */
  readonly apart?: boolean
}

/** A row as it comes from the database, in the order of the columns. The query says which types those have. */
export type Row = ReadonlyArray<unknown>

const twoTo32 = 4_294_967_296

const written = Result.void

/** Our numbers are safe integers, which `bigint` would only make slower to work with. */
const bigint: PgTypes.Codec<number> = {
  encode: (value) => {
    const bytes = new Uint8Array(8)
    const view = new DataView(bytes.buffer)
    const whole = Math.ceil(value)
    view.setInt32(0, Math.floor(whole / twoTo32))
    view.setUint32(4, ((whole % twoTo32) + twoTo32) % twoTo32)
    return Result.succeed(bytes)
  },
  decode: (bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    return Result.succeed(view.getInt32(0) * twoTo32 + view.getUint32(4))
  },
  write: (sink, value) => {
    // a time between two milliseconds counts as the later one: nothing may be due too early
    const whole = Math.ceil(value)
    const high = Math.floor(whole / twoTo32)
    sink.int32(high)
    sink.int32((whole - high * twoTo32) | 0)
    return written
  },
  read: (bytes, offset) => {
    const high = (bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!
    const low =
      ((bytes[offset + 4]! << 24) | (bytes[offset + 5]! << 16) | (bytes[offset + 6]! << 8) | bytes[offset + 7]!) >>> 0
    return Result.succeed(high * twoTo32 + low)
  }
}

/** The codecs of our connections. */
export const registry: PgTypes.Registry = (() => {
  const made = PgTypes.makeRegistry()
  made.register(PgTypes.OID.int8, bigint, { arrayOid: PgTypes.OID.int8Array })
  return made
})()

const of = (oid: number, value: unknown): Parameter => ({
  [PgTypes.ParameterTypeId]: PgTypes.ParameterTypeId,
  oid,
  value
})

export const text = (value: string | null): Parameter => of(PgTypes.OID.text, value)
export const int8 = (value: number | null): Parameter => of(PgTypes.OID.int8, value)
export const int2 = (value: number | null): Parameter => of(PgTypes.OID.int2, value)
export const bytea = (value: Uint8Array | null): Parameter => of(PgTypes.OID.bytea, value)

const arrays = {
  text: PgTypes.OID.textArray,
  int2: PgTypes.OID.int2Array,
  int4: PgTypes.OID.int4Array,
  int8: PgTypes.OID.int8Array,
  bytea: PgTypes.OID.byteaArray
}

export type Type = keyof typeof arrays

export const array = (type: Type, values: ReadonlyArray<Value>): Parameter => of(arrays[type], values)

export const texts = (values: Iterable<string>): Parameter => array("text", Array.from(values))

/** A column, and what a record has in it. */
export interface Column<A> {
  readonly name: string
  readonly type: Type
  readonly of: (record: A) => Value
}

export const column = <A>(name: string, type: Type, of: (record: A) => Value): Column<A> => ({ name, type, of })

export const namesOf = (columns: ReadonlyArray<{ readonly name: string }>): ReadonlyArray<string> =>
  columns.map(({ name }) => name)

/** Columns whose values come as a list, in the same order. */
export const listed = (names: ReadonlyArray<string>, types: Readonly<Record<string, Type>>) =>
  names.map((name, place) => column<ReadonlyArray<Value>>(name, types[name] ?? "text", (row) => row[place] ?? null))

/**
 * A statement on rows that are given, as `w`. They come as arrays, one for each column, or a single one as its values,
 * which takes a quarter less time: `isSingle` says so of all statements of a transaction, so that there are not too many
 * combinations to be prepared.
 */
export const onRows = <A>(
  columns: ReadonlyArray<Column<A>>,
  sql: (w: string) => string
): ((records: ReadonlyArray<A>, isSingle: boolean) => Statement) => {
  const several = sql(given(columns))
  const values = columns.map(({ name, type }, index) => `$${index + 1}::${type} AS ${name}`).join(", ")
  const single = sql(`(SELECT ${values}) AS w`)
  return (records, isSingle) => {
    const [first] = records
    return first === undefined || !isSingle
      ? { sql: several, params: arraysOf(columns, records) }
      : { sql: single, params: columns.map((column) => of(PgTypes.OID[column.type], column.of(first))) }
  }
}

/** `unnest($1::text[], $2::bigint[], …) AS w (a, b, …)`: the rows given as arrays. */
export const given = (columns: ReadonlyArray<{ readonly name: string; readonly type: Type }>): string =>
  `unnest(${columns.map(({ type }, index) => `$${index + 1}::${type}[]`).join(", ")}) AS w (${namesOf(columns).join(", ")})`

/** The arrays for `given`. */
export const arraysOf = <A>(columns: ReadonlyArray<Column<A>>, records: ReadonlyArray<A>): ReadonlyArray<Parameter> =>
  columns.map(({ of, type }) => array(type, records.map(of)))

/** The columns of a table under its alias. */
export const prefixed = (alias: string, names: ReadonlyArray<string>): string =>
  names.map((name) => `${alias}.${name}`).join(", ")

/** What may be large in a statement takes no more than so many bytes: PostgreSQL has no room for a gigabyte in one. */
const statementBytes = 64 * 1024 * 1024

/** The most bytes that a character takes in JSON. */
const escapedBytes = 6

const metadataBytes = (metadata: Payload["metadata"]): number => {
  let length = 0
  for (const name in metadata) length += name.length + metadata[name]!.length
  return length * escapedBytes
}

/** The most bytes that a payload takes. */
export const payloadBytes = (payload: Payload | undefined): number =>
  payload === undefined ? 0 : payload.data.byteLength + metadataBytes(payload.metadata)

/** The most bytes that what is recorded of a failure takes, but for what is always short. */
export const failureBytes = (error: Detail | undefined): number =>
  error === undefined
    ? 0
    : (error.message.length + error.subject.length + error.subjectId.length) * escapedBytes +
      metadataBytes(error.metadata)

/** Items for one statement after the other. */
export const inParts = <A>(items: ReadonlyArray<A>, bytesOf: (item: A) => number): ReadonlyArray<ReadonlyArray<A>> => {
  const parts: Array<Array<A>> = []
  let bytes = Number.POSITIVE_INFINITY
  for (const item of items) {
    const size = bytesOf(item)
    if (bytes + size > statementBytes) {
      parts.push([])
      bytes = 0
    }
    parts.at(-1)!.push(item)
    bytes += size
  }
  return parts
}
