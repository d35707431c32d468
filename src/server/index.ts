/** The server, to run anywhere. */
export * as KagziServer from "./KagziServer.ts"
