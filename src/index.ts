export { MixtralError, type MixtralErrorCode } from "./errors.js"
