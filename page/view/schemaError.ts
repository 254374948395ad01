// What is wrong with a schema as it is typed: whether it is JSON at all. What its words mean is the server's to say.

/** Undefined for nothing. */
export function schemaError(schema: string): string | undefined {
  if (schema.trim() === '') return undefined
  try {
    const value: unknown = JSON.parse(schema)
    const isSchema = (typeof value === 'object' && value !== null && !Array.isArray(value)) || typeof value === 'boolean'
    return isSchema ? undefined : 'A schema is an object: {"type": …}'
  } catch (error) {
    return `This is no JSON yet: ${(error as Error).message}`
  }
}
