/** The store contract, on a file and in memory. */
import { Effect, Layer } from "effect"
import * as SqliteStore from "../../src/store/sqlite/SqliteStore.ts"
import { storeContract } from "../contract/store.ts"
import { temporaryFile } from "./temporary.ts"

storeContract("SQLite in memory", SqliteStore.layerMemory)
storeContract("SQLite on a file", Layer.unwrap(Effect.map(temporaryFile, SqliteStore.layer)))
