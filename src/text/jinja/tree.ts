// The syntax tree of a Jinja template. Nodes are named as in Jinja2.

import type { Text } from '../templates/markedText.js'

export interface Argument {
  readonly kind: 'position' | 'list' | 'keyword' | 'keywords'
  /** Of a keyword. */
  readonly name: string
  readonly value: Expression
}

export type Comparison = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'not in'

export type Expression =
  | { readonly type: 'text'; readonly text: Text }
  | { readonly type: 'number'; readonly value: number; readonly isFloat: boolean }
  | { readonly type: 'constant'; readonly value: boolean | null }
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'list' | 'tuple'; readonly items: readonly Expression[] }
  | { readonly type: 'dict'; readonly entries: readonly (readonly [Expression, Expression])[] }
  | { readonly type: 'attribute'; readonly of: Expression; readonly name: string }
  | { readonly type: 'item'; readonly of: Expression; readonly key: Expression }
  | {
      readonly type: 'slice'
      readonly of: Expression
      readonly start: Expression | undefined
      readonly stop: Expression | undefined
      readonly step: Expression | undefined
    }
  | { readonly type: 'call'; readonly callee: Expression; readonly args: readonly Argument[] }
  | Filter
  | { readonly type: 'test'; readonly of: Expression; readonly name: string; readonly args: readonly Argument[] }
  | { readonly type: 'not' | 'minus' | 'plus'; readonly of: Expression }
  | { readonly type: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly type: 'compare'; readonly first: Expression; readonly others: readonly (readonly [Comparison, Expression])[] }
  | { readonly type: 'binary'; readonly operator: string; readonly left: Expression; readonly right: Expression }
  | { readonly type: 'concat'; readonly parts: readonly Expression[] }
  | { readonly type: 'if'; readonly test: Expression; readonly value: Expression; readonly otherwise: Expression | undefined }

/** Without `of`, it filters the text of a block. */
export interface Filter {
  readonly type: 'filter'
  readonly of: Expression | undefined
  readonly name: string
  readonly args: readonly Argument[]
}

export type Target =
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'field'; readonly of: string; readonly name: string }
  | { readonly type: 'tuple'; readonly items: readonly Target[] }

export interface Signature {
  readonly names: readonly string[]
  /** The default of each name, where it has one. */
  readonly defaults: readonly (Expression | undefined)[]
  /** What the body asks for besides. */
  readonly takes: ReadonlySet<string>
}

export type Body = readonly Statement[]

export type Statement =
  | { readonly type: 'text'; readonly text: Text }
  | { readonly type: 'print'; readonly value: Expression }
  | { readonly type: 'set'; readonly target: Target; readonly value: Expression }
  | { readonly type: 'setBlock'; readonly target: Target; readonly filter: Filter | undefined; readonly body: Body }
  | { readonly type: 'if'; readonly branches: readonly (readonly [Expression, Body])[]; readonly otherwise: Body }
  | {
      readonly type: 'for'
      readonly target: Target
      readonly iterable: Expression
      readonly test: Expression | undefined
      readonly recursive: boolean
      readonly body: Body
      readonly otherwise: Body
    }
  | { readonly type: 'break' | 'continue' }
  | { readonly type: 'with'; readonly values: readonly (readonly [Target, Expression])[]; readonly body: Body }
  | { readonly type: 'scope'; readonly body: Body }
  | { readonly type: 'autoescape'; readonly escapes: Expression; readonly body: Body }
  | { readonly type: 'macro'; readonly name: string; readonly signature: Signature; readonly body: Body }
  | { readonly type: 'callBlock'; readonly call: Expression; readonly signature: Signature; readonly body: Body }
  | { readonly type: 'filterBlock'; readonly filter: Filter; readonly body: Body }
