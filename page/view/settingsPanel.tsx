// What a conversation tells the model, and how answers are drawn. An empty field leaves the choice to the server.

import { current, update } from '../state/library.js'
import { OPTION_FIELDS, type OptionField, optionError, type Preferences, preferences, set } from '../state/preferences.js'
import { Field } from './field.js'
import { schemaError } from './schemaError.js'

export function SettingsPanel() {
  return (
    <div class="settings">
      <ConversationFields />
      <fieldset>
        <legend>All conversations</legend>
        <div class="options">
          {OPTION_FIELDS.map((field) => (
            <OptionInput key={field.name} field={field} />
          ))}
        </div>
        <Field id="stops" label="Stop texts" help="One on each line: an answer ends before it.">
          <textarea
            id="stops"
            class="mono"
            rows={2}
            value={preferences.value.stops}
            spellcheck={false}
            aria-describedby="stops-help"
            onInput={({ currentTarget }) => set({ stops: currentTarget.value })}
          />
        </Field>
        <p class="facts">
          An empty field leaves the choice to the server.{' '}
          <button type="button" class="quiet" onClick={() => set({ options: {}, stops: '' })}>
            Empty all
          </button>
        </p>
      </fieldset>
      <fieldset>
        <legend>This page</legend>
        <Field id="theme" label="Colors">
          <select
            id="theme"
            value={preferences.value.theme}
            onChange={({ currentTarget }) => set({ theme: currentTarget.value as Preferences['theme'] })}
          >
            <option value="system">as the system</option>
            <option value="light">light</option>
            <option value="dark">dark</option>
          </select>
        </Field>
      </fieldset>
    </div>
  )
}

function ConversationFields() {
  const { system, schema } = current.value
  const problem = schemaError(schema)
  return (
    <fieldset>
      <legend>This conversation</legend>
      <Field id="system" label="System message">
        <textarea
          id="system"
          rows={4}
          value={system}
          dir="auto"
          placeholder="How the model should answer"
          onInput={({ currentTarget }) => update({ ...current.value, system: currentTarget.value })}
        />
      </Field>
      <Field id="schema" label="JSON schema of answers" help="With a schema, an answer is JSON that follows it." problem={problem}>
        <textarea
          id="schema"
          class="mono"
          rows={5}
          value={schema}
          spellcheck={false}
          placeholder={'{"type": "object", …}'}
          aria-invalid={problem !== undefined}
          aria-describedby="schema-help"
          onInput={({ currentTarget }) => update({ ...current.value, schema: currentTarget.value })}
        />
      </Field>
    </fieldset>
  )
}

function OptionInput({ field }: { readonly field: OptionField }) {
  const { name, label, help } = field
  const typed = preferences.value.options[name] ?? ''
  const problem = optionError(field, typed)
  return (
    <Field id={name} label={label} help={help} problem={problem}>
      <input
        id={name}
        inputMode="decimal"
        value={typed}
        placeholder="server’s"
        aria-invalid={problem !== undefined}
        aria-describedby={`${name}-help`}
        autocomplete="off"
        onInput={({ currentTarget }) => set({ options: { ...preferences.value.options, [name]: currentTarget.value } })}
      />
    </Field>
  )
}
