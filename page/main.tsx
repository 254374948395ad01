// Starts the page.

import { render } from 'preact'
import { App } from './app.js'
import { connect } from './state/connection.js'
import { openLibrary } from './state/library.js'
import { keepPreferences } from './state/preferences.js'
import './style/base.css'
import './style/frame.css'
import './style/chat.css'
import './style/experts.css'

keepPreferences()
render(<App />, document.getElementById('app')!)
void openLibrary()
void connect()
