/** What the commands on one namespace take and print. */
import { Argument } from "effect/cli"
import type { Namespace } from "../../Admin.ts"
import { print } from "../output.ts"
import { fields } from "../table.ts"
import * as views from "../views.ts"

export const name = Argument.String("name").pipe(Argument.withDescription("The name of the namespace"))

/** The JSON of a namespace, for descriptions of commands. */
export const shape = "{ id, name, displayName, description, enabled, createdAt, updatedAt }"

export const show = (namespace: Namespace) =>
  print({
    json: () => views.namespace(namespace),
    text: () =>
      fields([
        ["Name", namespace.name],
        ["Display name", namespace.displayName],
        ["Description", namespace.description === "" ? undefined : namespace.description],
        ["Enabled", namespace.enabled ? "yes" : "no"],
        ["Id", namespace.id],
        ["Created", namespace.createdAt.toISOString()],
        ["Updated", namespace.updatedAt.toISOString()]
      ])
  })
