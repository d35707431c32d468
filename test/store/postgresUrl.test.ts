/** What the url of a database may say. */
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { parse } from "../../src/store/postgres/url.ts"

const fileOf = (name: string) => fileURLToPath(new URL(`../support/tls/${name}`, import.meta.url))
const url = (query: string) => `postgres://me:secret@db.example.com/kagzi?${query}`

const refusalOf = (query: string) => {
  const parsed = parse(url(query))
  assert.strictEqual(parsed._tag, "Failure", query)
  const refusal = parsed._tag === "Failure" ? parsed.failure : ""
  assert.notInclude(refusal, "secret")
  return refusal
}

const settingsOf = (text: string) => {
  const parsed = parse(text)
  assert.strictEqual(parsed._tag, "Success", text)
  return parsed._tag === "Success" ? parsed.success : assert.fail()
}

const ca = `sslrootcert=${fileOf("ca.crt")}`

describe("the url of a PostgreSQL database", () => {
  it("names no files of TLS beside a mode that may do without", () => {
    for (const mode of ["", "sslmode=disable&", "sslmode=allow&", "sslmode=prefer&"]) {
      assert.match(refusalOf(`${mode}${ca}`), /^sslrootcert takes sslmode=require, /)
      assert.match(refusalOf(`${mode}sslrootcert=/nope.pem`), /^sslrootcert takes sslmode=require, /)
      assert.match(refusalOf(`${mode}sslrootcert=system`), /^sslrootcert takes sslmode=require, /)
      assert.match(refusalOf(`${mode}sslkey=/nope.pem`), /^sslkey takes sslmode=require, /)
    }
    assert.match(refusalOf("sslmode=require&sslrootcert=/nope.pem"), /ENOENT/)
  })

  it("names a certificate and a key that can be used, together", () => {
    assert.match(refusalOf(`sslmode=require&sslcert=${fileOf("server.crt")}`), /go together/)
    const swapped = `sslcert=${fileOf("server.key")}&sslkey=${fileOf("server.crt")}`
    assert.match(refusalOf(`sslmode=require&${swapped}`), /can't be used/)
    settingsOf(url(`sslmode=require&sslcert=${fileOf("server.crt")}&sslkey=${fileOf("server.key")}`))
  })

  it("asks for nothing that would be ignored", () => {
    for (const query of [
      "channel_binding=require",
      "target_session_attrs=standby",
      "target_session_attrs=prefer-standby",
      "require_auth=scram-sha-256",
      "gssencmode=require",
      "ssl_min_protocol_version=TLSv1.3",
      "sslcrl=/crl.pem",
      "hostaddr=10.0.0.1",
      "service=kagzi",
      "sslmod=require",
      "SSLMODE=require",
      "toString=1",
      "host=a,b"
    ]) {
      assert.match(refusalOf(query), /supported/, query)
    }
    assert.match(refusalOf("sslmode=require&sslmode=disable"), /^sslmode is given more than once$/)
    assert.match(refusalOf("passwrod=secret"), /^passwrod is not supported; .*sslmode, sslrootcert/)
    // what is left of passwords that were not encoded
    assert.match(refusalOf("password=my&secret"), /^one of its parameters is not supported/)
    assert.match(refusalOf("secret@db.example.com/kagzi"), /^one of its parameters is not supported/)
  })

  it("may say what is so anyway", () => {
    settingsOf(url("target_session_attrs=read-write&channel_binding=prefer&keepalives_idle=30&client_encoding=UTF8"))
  })

  it("prefers TLS unless it names a mode", () => {
    assert.isTrue(settingsOf(url("")).prefersTls)
    assert.isTrue(settingsOf(url("sslmode=allow")).prefersTls)
    assert.isFalse(settingsOf(url("sslmode=disable")).prefersTls)
    const required = settingsOf(url("sslmode=verify-full"))
    assert.isFalse(required.prefersTls)
    assert.deepStrictEqual(required.connection.ssl, { rejectUnauthorized: true })
  })

  it("tells which hosts are this machine", () => {
    const local = ["", "localhost", "127.0.0.1:5433", "[::1]", "%2Fvar%2Frun%2Fpostgresql"]
    for (const host of local) assert.isTrue(settingsOf(`postgres://${host}/kagzi`).isLocal, host)
    assert.isTrue(settingsOf("postgres:///kagzi?host=/var/run/postgresql").isLocal)
    for (const host of ["db.example.com", "10.0.0.1", "localhost.example.com"]) {
      assert.isFalse(settingsOf(`postgres://${host}/kagzi`).isLocal, host)
    }
    assert.isFalse(settingsOf("postgres://localhost/kagzi?host=db.example.com").isLocal)
  })
})
