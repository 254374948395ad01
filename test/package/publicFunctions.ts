// The functions of the package as a program finds them: by the names of their classes and objects.

import * as library from '../../dist/index.js'

/** Names such as `readImatrix`, `Tokenizer.load`, `TokenModel.prototype.logits`; a parent's are under its own name. */
export function publicFunctions(): string[] {
  const own = (value: object, prefix: string, ignored: readonly string[]) =>
    Object.entries(Object.getOwnPropertyDescriptors(value)).flatMap(([name, { value }]) =>
      typeof value === 'function' && !ignored.includes(name) ? [`${prefix}.${name}`] : [],
    )
  return Object.entries(library).flatMap(([name, exported]) => {
    if (typeof exported !== 'function') return Array.isArray(exported) ? [] : own(exported, name, [])
    const names: string[] = []
    if (!/^class\b/.test(Function.prototype.toString.call(exported))) return [name]
    for (let each: object = exported; each !== Function.prototype && each !== Error; each = Object.getPrototypeOf(each)) {
      const { name: parent, prototype } = each as { name: string; prototype: object }
      names.push(...own(each, parent, ['prototype']), ...own(prototype, `${parent}.prototype`, ['constructor']))
    }
    return names
  })
}
