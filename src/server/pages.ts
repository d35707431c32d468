/** Pages of lists: sizes, opaque tokens, and a limit in bytes beside the number of items. */
import { Effect } from "effect"
import type { PageInfoSchema, PageRequest } from "../../gen/kagzi/v1/common_pb.ts"
import type { MessageInitShape } from "@bufbuild/protobuf"
import type * as KagziError from "../KagziError.ts"
import { int64 } from "../protocol/codec.ts"
import type { Payload, Run, Step } from "../Run.ts"
import { type Cursor, type Page, pageBytes } from "../store/Store.ts"
import { invalid } from "./checks.ts"

/** What a list allows. */
export interface Sizes {
  readonly standard: number
  readonly max: number
}

/** What was asked for. */
export interface Asked {
  readonly limit: number
  readonly after?: Cursor
  readonly count: boolean
}

const encode = (text: string) => Buffer.from(text, "utf8").toString("base64url")

const decode = (token: string) => Buffer.from(token, "base64url").toString("utf8")

/** A token says of which list it is, so that one of another list is refused. */
const tokenOf = (list: string, cursor: Cursor): string => encode(`${list}:${cursor.at}:${cursor.id}`)

const readToken = (list: string, token: string): Effect.Effect<Cursor, KagziError.InvalidArgument> => {
  const [, of, at, id] = /^([a-z]+):(\d{1,16}):(.*)$/s.exec(decode(token)) ?? []
  return of !== list ||
    at === undefined ||
    id === undefined ||
    id.includes("\u0000") ||
    encode(`${of}:${at}:${id}`) !== token
    ? invalid("page_token is not one that this server gave")
    : Effect.succeed({ at: Number(at), id })
}

/** What a page request asks of a list. */
export const asked = Effect.fnUntraced(function* (
  list: string,
  page: PageRequest | undefined,
  sizes: Sizes
): Effect.fn.Return<Asked, KagziError.InvalidArgument> {
  const size = page?.pageSize ?? 0
  const token = page?.pageToken ?? ""
  return {
    limit: size <= 0 ? sizes.standard : Math.min(size, sizes.max),
    count: page?.includeTotalCount ?? false,
    ...(token === "" ? {} : { after: yield* readToken(list, token) })
  }
})

/** Positions within one run's history, as a token. */
export const positionToken = (position: number): string => tokenOf("history", { at: position, id: "" })

/** The position in such a token; 0, the beginning, for none. */
export const readPosition = (token: string): Effect.Effect<number, KagziError.InvalidArgument> =>
  token === "" ? Effect.succeed(0) : Effect.map(readToken("history", token), ({ at }) => at)

const payloadBytes = (payload: Payload | undefined): number => {
  if (payload === undefined) return 0
  let bytes = payload.data.byteLength
  for (const [name, value] of Object.entries(payload.metadata)) bytes += 4 * (name.length + value.length) + 8
  return bytes
}

/** An upper bound, near enough, of what a run or a step takes on the wire. */
export const wireBytes = (
  item: Pick<Run, "error"> & { readonly input?: Payload; readonly output?: Payload | undefined } & (
      | Pick<Step, "name">
      | Pick<Run, "externalId" | "taskQueue" | "workflowType">
    )
): number => {
  const { error } = item
  const errorChars =
    error === undefined
      ? 0
      : error.message.length +
        Object.entries(error.metadata).reduce((sum, [name, value]) => sum + name.length + value.length, 0)
  const names =
    "name" in item ? item.name.length : item.externalId.length + item.taskQueue.length + item.workflowType.length
  return payloadBytes(item.input) + payloadBytes(item.output) + 4 * (errorChars + names) + 512
}

/** The place of an item in a list that is ordered by a name or an id alone. */
export const named = (id: string): Cursor => ({ at: 0, id })

/** Rows are read in portions, because a full page of the largest items would be hundreds of megabytes. */
const portion = 20

/** Reads one page of runs or steps, which ends at the limit or before it gets too large, but holds at least one item. */
export const read = <A extends Parameters<typeof wireBytes>[0], E, R>(
  list: string,
  page: Asked,
  fetch: (page: Asked) => Effect.Effect<Page<A>, E, R>,
  cursorOf: (item: A) => Cursor
) => readSized(list, page, fetch, cursorOf, wireBytes)

/** The same for any items, of which `bytesOf` says about how much they take on the wire. */
export const readSized = Effect.fnUntraced(function* <A, E, R>(
  list: string,
  page: Asked,
  fetch: (page: Asked) => Effect.Effect<Page<A>, E, R>,
  cursorOf: (item: A) => Cursor,
  bytesOf: (item: A) => number
) {
  const items: Array<A> = []
  let bytes = 0
  let total: number | undefined
  let after = page.after
  let more = true
  let full = false
  while (more && !full && items.length < page.limit) {
    const next = yield* fetch({
      limit: Math.min(portion, page.limit - items.length),
      count: page.count && total === undefined,
      ...(after === undefined ? {} : { after })
    })
    total ??= next.total
    more = next.hasMore
    for (const item of next.items) {
      bytes += bytesOf(item)
      if (items.length > 0 && bytes > pageBytes) {
        full = true
        more = true
        break
      }
      items.push(item)
      after = cursorOf(item)
    }
    if (next.items.length === 0) break
  }
  const info: MessageInitShape<typeof PageInfoSchema> = {
    hasMore: more,
    nextPageToken: more && after !== undefined ? tokenOf(list, after) : "",
    totalCount: int64(total ?? 0)
  }
  return { items, info }
})
