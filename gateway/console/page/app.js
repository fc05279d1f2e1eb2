// The page: who is signed in, which part is shown, and what to do when the session ends, here or elsewhere.

import {call, Offline, whenSessionEnds} from './api.js'
import {account} from './account.js'
import {audit} from './audit.js'
import {button, el, fill, note} from './dom.js'
import {files} from './files.js'
import {people} from './people.js'
import {signIn} from './signin.js'
import {trash} from './trash.js'
import {uploads} from './uploads.js'

const app = document.getElementById('app')
const watchEvery = 20000 // ms

const parts = [
  {at: 'files', title: 'Files', show: files},
  {at: 'trash', title: 'Trash', show: trash},
  {at: 'account', title: 'Account', show: account},
  {at: 'people', title: 'People', show: people, admin: true},
  {at: 'audit', title: 'Audit', show: audit, admin: true},
]

let me = null // of the session, or null when nobody is signed in

whenSessionEnds(() => leave('You were signed out: this session has ended or was ended elsewhere.'))

function leave(why) {
  if (!me) return
  me = null
  uploads.stop()
  document.querySelectorAll('dialog').forEach(d => d.close())
  signIn(app, () => begin(true), why)
}

// begin looks who is signed in; moved says that the keyboard was on what is replaced now.
async function begin(moved = false) {
  const session = await call('GET', '/v1/auth/session', undefined, {quiet: true})
  const rights = session.user.roles.some(r => r !== 'guest') || session.user.permissions.length > 0
  me = {...session.user, session: session.session_id, admin: rights && await may('/v1/users?limit=1')}
  uploads.start(me.id)
  frame(moved)
}

async function may(path) {
  try { await call('GET', path); return true } catch { return false }
}

function frame(moved) {
  const shown = parts.filter(p => !p.admin || me.admin)
  const nav = el('nav', {'aria-label': 'Parts'}, shown.map(p => el('a', {href: `#${p.at}`, 'data-at': p.at}, p.title)))
  const main = el('main', {id: 'main', tabindex: '-1'})
  fill(app,
    el('header.top', {},
      el('a.brand', {href: '#files'}, el('span.ticket', {'aria-hidden': 'true'}), 'Cloakroom'), nav,
      el('div.who', {}, el('span', {title: 'Signed in'}, me.name || me.username || me.email || me.phone),
        button('Sign out', signOut, 'plain'))),
    el('aside', {id: 'uploads', 'aria-label': 'Uploads'}), main)
  uploads.show(document.getElementById('uploads'))
  route(moved)
}

async function signOut() {
  await call('POST', '/v1/auth/logout', undefined, {headers: {'X-Session-Mode': 'cookie'}})
  uploads.forget()
  leave('')
  history.replaceState(null, '', '#files')
}

async function route(moved = true) {
  if (!me) return
  const at = location.hash.slice(1)
  const part = parts.find(p => p.at === at && (!p.admin || me.admin)) || parts[0]
  for (const a of app.querySelectorAll('nav a')) {
    if (a.dataset.at === part.at) a.setAttribute('aria-current', 'page')
    else a.removeAttribute('aria-current')
  }
  document.title = `${part.title} – Cloakroom`
  const main = document.getElementById('main')
  const page = el('div.page', {'aria-busy': 'true'}, el('h1', {}, part.title))
  fill(main, page)
  if (moved) main.focus()
  try { await part.show(page, me) } catch (err) {
    if (me) page.append(el('p.problem', {role: 'alert'}, err.message, ' ', button('Try again', () => route())))
  }
  page.removeAttribute('aria-busy')
}

window.addEventListener('hashchange', () => route())

// A session that was ended on another device is noticed without a click.
async function watch() {
  if (!me || document.hidden) return
  try { await call('GET', '/v1/auth/session') } catch { /* an ended session has been told; the rest may pass */ }
}
setInterval(watch, watchEvery)
document.addEventListener('visibilitychange', watch)
window.addEventListener('offline', () => note('You are offline. Uploads go on by themselves when you are back.'))

async function start() {
  try { await begin() } catch (err) {
    if (err instanceof Offline || err.status >= 500 || err.status === 429) {
      fill(app, el('main', {id: 'main', class: 'entrance'}, el('p.problem', {role: 'alert'}, err.message, ' ', button('Try again', start))))
      return
    }
    signIn(app, () => begin(true))
  }
}
start()
