// Asks for the API key, where the server wants one.

import { useEffect, useRef, useState } from 'preact/hooks'
import { hasKey } from '../server/api.js'
import { giveKey, wantsKey } from '../state/connection.js'

export function KeyDialog() {
  const dialog = useRef<HTMLDialogElement>(null)
  const [key, setKey] = useState('')
  const [stays, setStays] = useState(false)
  const wanted = wantsKey.value
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
          void giveKey(key, stays)
          setKey('')
        }}
      >
        <h2 id="key-title">The server wants an API key</h2>
        <p>{hasKey() ? 'The key that this page has is not one of the server’s.' : 'The person who runs the server can tell you one.'}</p>
        <label class="field">
          <span>API key</span>
          <input type="password" value={key} autocomplete="off" onInput={({ currentTarget }) => setKey(currentTarget.value)} />
        </label>
        <label class="check">
          <input type="checkbox" checked={stays} onChange={({ currentTarget }) => setStays(currentTarget.checked)} />
          Keep it in this browser; otherwise until the tab is closed
        </label>
        <div class="dialog-actions">
          <button type="button" class="quiet" onClick={() => dialog.current!.close()}>
            Not now
          </button>
          <button type="submit" class="primary" disabled={key.trim() === ''}>
            Use the key
          </button>
        </div>
      </form>
    </dialog>
  )
}
