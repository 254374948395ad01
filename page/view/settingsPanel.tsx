// What a conversation tells the model, and how answers are drawn. An empty field leaves the choice to the server.

import { current, update } from '../state/library.js'
import { OPTION_FIELDS, type OptionField, optionError, preferences, set } from '../state/preferences.js'
import { schemaError } from './schemaError.js'

export function SettingsPanel() {
  const { system, schema } = current.value
  const problem = schemaError(schema)
  return (
    <div class="settings">
      <fieldset>
        <legend>This conversation</legend>
        <label class="field">
          <span>System message</span>
          <textarea
            rows={4}
            value={system}
            dir="auto"
            placeholder="How the model should answer"
            onInput={({ currentTarget }) => update({ ...current.value, system: currentTarget.value })}
          />
        </label>
        <label class="field">
          <span>JSON schema of answers</span>
          <textarea
            class="mono"
            rows={5}
            value={schema}
            spellcheck={false}
            placeholder={'{"type": "object", …}'}
            aria-invalid={problem !== undefined}
            aria-describedby="schema-help"
            onInput={({ currentTarget }) => update({ ...current.value, schema: currentTarget.value })}
          />
          <small id="schema-help" class={problem ? 'wrong' : ''}>
            {problem ?? 'With a schema, an answer is JSON that follows it.'}
          </small>
        </label>
      </fieldset>
      <fieldset>
        <legend>All conversations</legend>
        <div class="options">
          {OPTION_FIELDS.map((field) => (
            <OptionInput key={field.name} field={field} />
          ))}
        </div>
        <label class="field">
          <span>Stop texts</span>
          <textarea
            class="mono"
            rows={2}
            value={preferences.value.stops}
            spellcheck={false}
            aria-describedby="stops-help"
            onInput={({ currentTarget }) => set({ stops: currentTarget.value })}
          />
          <small id="stops-help">One on each line: an answer ends before it.</small>
        </label>
        <p class="facts">
          An empty field leaves the choice to the server.{' '}
          <button type="button" class="quiet" onClick={() => set({ options: {}, stops: '' })}>
            Empty all
          </button>
        </p>
      </fieldset>
      <fieldset>
        <legend>This page</legend>
        <label class="field">
          <span>Colors</span>
          <select
            value={preferences.value.theme}
            onChange={({ currentTarget }) => set({ theme: currentTarget.value as 'system' | 'light' | 'dark' })}
          >
            <option value="system">as the system</option>
            <option value="light">light</option>
            <option value="dark">dark</option>
          </select>
        </label>
      </fieldset>
    </div>
  )
}

function OptionInput({ field }: { readonly field: OptionField }) {
  const { name, label, help } = field
  const typed = preferences.value.options[name] ?? ''
  const problem = optionError(field, typed)
  return (
    <label class="field">
      <span>{label}</span>
      <input
        inputMode="decimal"
        value={typed}
        placeholder="server’s"
        aria-invalid={problem !== undefined}
        aria-describedby={`${name}-help`}
        autocomplete="off"
        onInput={({ currentTarget }) => set({ options: { ...preferences.value.options, [name]: currentTarget.value } })}
      />
      <small id={`${name}-help`} class={problem ? 'wrong' : ''}>
        {problem ?? help}
      </small>
    </label>
  )
}
