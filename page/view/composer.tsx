// Where a person writes, sends and stops; below it how full the context is, and how fast the model writes.

import { useEffect, useRef, useState } from 'preact/hooks'
import { ask, live, stop } from '../state/answering.js'
import { isGone, model } from '../state/connection.js'
import { current, path } from '../state/library.js'
import { count, perSecond } from './figures.js'
import { Icon } from './icon.js'
import { schemaError } from './schemaError.js'

export function Composer() {
  const box = useRef<HTMLTextAreaElement>(null)
  const [text, setText] = useState('')
  const id = current.value.id
  useEffect(() => {
    if (matchMedia('(pointer: fine)').matches) box.current?.focus()
  }, [id])
  useEffect(() => {
    const area = box.current!
    area.style.height = 'auto'
    area.style.height = `${area.scrollHeight}px`
  }, [text])
  const schema = current.value.schema
  const problem = schemaError(schema)
  const send = () => {
    const written = box.current!.value // the state may be a moment behind it
    if (written.trim() === '' || live.value || problem) return
    void ask(written)
    setText('')
  }
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
    event.preventDefault()
    send()
  }
  return (
    <div class="composer">
      {problem && (
        <p class="failure" role="alert">
          The JSON schema of this conversation is not right yet: see the settings.
        </p>
      )}
      <form
        class="box"
        onSubmit={(event) => {
          event.preventDefault()
          send()
        }}
      >
        <textarea
          ref={box}
          rows={1}
          value={text}
          dir="auto"
          placeholder={isGone.value ? 'The server is gone' : 'Ask something'}
          aria-label="Your message"
          aria-describedby="composer-help"
          enterkeyhint="send"
          onInput={({ currentTarget }) => setText(currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        {live.value ? (
          <button type="button" class="send stop" aria-label="Stop" title="Stop (Escape)" onClick={stop}>
            <Icon name="stop" />
          </button>
        ) : (
          <button type="submit" class="send" aria-label="Send" title="Send (Enter)" disabled={text.trim() === '' || problem !== undefined}>
            <Icon name="send" />
          </button>
        )}
      </form>
      <div class="status-line">
        <Context />
        <span class="speed">
          {live.value?.phase === 'writing' && `${perSecond(live.value.perSecond)} tokens/s · ${live.value.tokens} tokens`}
        </span>
        {schema.trim() !== '' && !problem && <span class="tag">JSON by schema</span>}
        <span id="composer-help" class="help">
          Enter sends, Shift + Enter begins a line
        </span>
      </div>
    </div>
  )
}

/** The context that the conversation takes, as the last answer has told it. */
function Context() {
  const figures = path.value.findLast(({ figures }) => figures && figures.promptTokens > 0)?.figures
  const room = model.value?.context
  if (!figures || room === undefined) return <span />
  const used = figures.promptTokens + figures.completionTokens
  return (
    <span class="context">
      {/* biome-ignore lint/a11y/useSemanticElements: a meter of the browser cannot be styled the same everywhere */}
      <span
        class="gauge"
        role="meter"
        aria-label="Context used"
        aria-valuemin={0}
        aria-valuemax={room}
        aria-valuenow={Math.min(used, room)}
        aria-valuetext={`${used} of ${room} tokens`}
      >
        <i style={{ '--share': Math.min(1, used / room).toFixed(3) }} />
      </span>
      {count(used)} of {count(room)} tokens
    </span>
  )
}
