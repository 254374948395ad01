export function faultOf(error: unknown): string | undefined
