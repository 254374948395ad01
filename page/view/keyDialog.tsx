// Asks for the API key, where the server wants one.

import { useEffect, useRef, useState } from 'preact/hooks'
import { hasKey } from '../server/api.js'
import { giveKey, refusals, wantsKey } from '../state/connection.js'
import { Field } from './field.js'

export function KeyDialog() {
  const dialog = useRef<HTMLDialogElement>(null)
  const box = useRef<HTMLInputElement>(null)
  const [stays, setStays] = useState(false)
  const wanted = wantsKey.value
  refusals.value // a key that was given meanwhile was wrong
  useEffect(() => {
    if (wanted && !dialog.current!.open) dialog.current!.showModal()
    if (!wanted && dialog.current!.open) dialog.current!.close()
  }, [wanted])
  return (
    <dialog
      ref={dialog}
      class="key"
      aria-labelledby="key-title"
      onClose={() => {
        wantsKey.value = false
      }}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault()
          const key = box.current!.value
          box.current!.value = ''
          if (key.trim() !== '') void giveKey(key, stays)
        }}
      >
        <h2 id="key-title">The server wants an API key</h2>
        <p role="status">
          {hasKey() ? 'The key that this page has is not one of the server’s.' : 'The person who runs the server can tell you one.'}
        </p>
        <Field id="key" label="API key">
          <input id="key" type="password" ref={box} autocomplete="off" />
        </Field>
        <label class="check">
          <input type="checkbox" checked={stays} onChange={({ currentTarget }) => setStays(currentTarget.checked)} />
          Keep it in this browser; otherwise until the tab is closed
        </label>
        <div class="dialog-actions">
          <button type="button" class="quiet" onClick={() => dialog.current!.close()}>
            Not now
          </button>
          <button type="submit" class="primary">
            Use the key
          </button>
        </div>
      </form>
    </dialog>
  )
}
