// The object that the beginning of a JSON text has so far, for APIs whose calls have arguments as objects: where a
// limit has cut a call, what was written of it is told.

/** The object: a string that was cut ends there; a name without its value is left out. */
export function begunJson(text: string): unknown {
  const ends: string[] = []
  let open: 'string' | 'escape' | undefined
  let whole = '{}' // the longest beginning that some brackets complete
  for (const [i, unit] of text.split('').entries()) {
    if (open === 'escape') open = 'string'
    else if (open === 'string') open = unit === '\\' ? 'escape' : unit === '"' ? undefined : open
    else if (unit === '"') open = 'string'
    else if (unit === ',') whole = text.slice(0, i) + closing(ends)
    else if (unit === '{' || unit === '[') {
      ends.push(unit === '{' ? '}' : ']')
      whole = text.slice(0, i + 1) + closing(ends)
    } else if (unit === '}' || unit === ']') {
      ends.pop()
      whole = text.slice(0, i + 1) + closing(ends)
    }
  }
  const cut = open ? `${text.replace(/\\(u[0-9a-fA-F]{0,3})?$/, '')}"` : text
  return parsed(cut + closing(ends)) ?? parsed(whole) ?? {}
}

function closing(ends: readonly string[]): string {
  return ends.toReversed().join('')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
