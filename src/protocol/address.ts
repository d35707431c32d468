/** Where servers are. */
import { type Array as Arr, Result } from "effect"

/**
 * The origin of an address such as `http://localhost:50051`, or a text that says what is wrong with it. Without a
 * scheme it is `http`.
 */
export const parse = (address: string): Result.Result<string, string> => {
  const refuse = (reason: string) => Result.fail(`Invalid server address ${JSON.stringify(address)}: ${reason}`)
  const trimmed = address.trim()
  if (trimmed === "") return refuse("it is empty")
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `http://${trimmed}`
  if (!URL.canParse(text)) return refuse("it must look like http://HOST:PORT")
  const url = new URL(text)
  if (url.protocol !== "http:" && url.protocol !== "https:") return refuse("the scheme must be http or https")
  if (url.username !== "" || url.password !== "") return refuse("credentials belong in apiKey")
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") return refuse("it must end after the port")
  return Result.succeed(url.origin)
}

/**
 * The origins of addresses, each once: in a list, or in a text with commas between them. Or a text that says what is
 * wrong with one of them.
 */
export const parseAll = (
  addresses: string | ReadonlyArray<string>
): Result.Result<Arr.NonEmptyReadonlyArray<string>, string> => {
  const given = (typeof addresses === "string" ? [addresses] : addresses).flatMap((address) => address.split(","))
  const [first, ...others] = given.filter((address) => address.trim() !== "")
  return Result.gen(function* () {
    const origin = yield* parse(first ?? "")
    const rest = yield* Result.all(others.map(parse))
    return [origin, ...new Set(rest.filter((other) => other !== origin))] as const
  })
}
