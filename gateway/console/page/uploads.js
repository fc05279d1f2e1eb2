// Uploads: small files in one request, others by tus, piece by piece. A lost network is waited for. Where an upload stands is kept in
// this browser, without the bytes: after a reload the same file has to be chosen again, and goes on where it stopped.

import {call, Offline} from './api.js'
import {bar, button, bytes, el, fill} from './dom.js'
import {named, transfer} from './transfer.js'

const smallBytes = 1 << 20
const pieceBytes = 8 << 20
const atOnce = 2
const longestWait = 30000 // ms between tries

const tus = {'Tus-Resumable': '1.0.0'}
const base64 = text => btoa(String.fromCharCode(...new TextEncoder().encode(text)))
const same = (item, file) => item.name === file.name && item.size === file.size && item.modified === file.lastModified

let items = [] // {name, size, modified, type, url, file, sent, state, why, stop}
let prefix = '' // of what is kept in this browser, one entry an upload, so that tabs don't undo one another's
let place = null

function keep({name, size, modified, type, url, sent, key, state}) {
  try {
    if (url && state !== 'done') localStorage.setItem(prefix + key, JSON.stringify({name, size, modified, type, url, sent, key}))
    else localStorage.removeItem(prefix + key)
  } catch { /* private windows may keep nothing; this page still goes on */ }
}

function kept() {
  return Object.keys(localStorage).filter(k => k.startsWith(prefix)).flatMap(k => {
    try { return [JSON.parse(localStorage.getItem(k))] } catch { return [] }
  })
}

export const uploads = {
  // start takes up what this person left unfinished in this browser.
  start(user) {
    prefix = `cloakroom.upload.${user}.`
    items = kept().map(i => ({...i, file: null, state: 'asleep', why: 'Choose the same file again to go on.'}))
  },
  // stop ends what runs; it can be taken up at the next sign-in.
  stop() {
    items.forEach(i => i.stop?.abort())
    items = []
    place = null
  },
  // forget leaves no name of a file behind in this browser.
  forget() {
    items.forEach(i => i.stop?.abort())
    items = []
    Object.keys(localStorage).filter(k => k.startsWith(prefix)).forEach(k => localStorage.removeItem(k))
  },
  show(node) {
    place = node
    draw()
  },
  // add queues files. One that was begun before goes on.
  add(files) {
    for (const file of files) {
      const begun = items.find(i => i.state === 'asleep' && same(i, file))
      if (begun) Object.assign(begun, {file, state: 'waiting', why: ''})
      else items.push({name: file.name, size: file.size, modified: file.lastModified, type: file.type, url: '', file, sent: 0, state: 'waiting', why: '', key: crypto.randomUUID()})
    }
    next()
  },
}

function next() {
  draw()
  const running = items.filter(i => i.state === 'sending' || i.state === 'lost').length
  items.filter(i => i.state === 'waiting').slice(0, Math.max(0, atOnce - running)).forEach(work)
}

async function work(item) {
  item.stop = new AbortController()
  item.state = 'sending'
  draw()
  for (let tries = 0; ; tries++) {
    const before = item.sent
    try {
      await (item.size <= smallBytes && !item.url ? whole(item) : pieces(item))
      Object.assign(item, {state: 'done', sent: item.size, why: ''})
      break
    } catch (err) {
      if (err.name === 'AbortError') return
      if (item.sent > before) tries = 0
      if (!passes(err)) {
        Object.assign(item, {state: 'failed', why: err.message})
        break
      }
      if (err.status === 404 || err.status === 410) Object.assign(item, {url: '', sent: 0})
      Object.assign(item, {state: 'lost', why: err instanceof Offline ? 'No connection. It goes on by itself.' : err.message})
      draw()
      await pause(Math.max((err.retryAfter || 0) * 1000, Math.min(longestWait, 1000 * 2 ** tries)), item.stop.signal)
      if (item.stop.signal.aborted) return
      Object.assign(item, {state: 'sending', why: ''})
      draw()
    }
  }
  keep(item)
  if (item.state === 'done') window.dispatchEvent(new Event('stored'))
  next()
}

// passes tells what waiting can mend.
const passes = err => err instanceof Offline || [404, 408, 409, 410, 423, 429, 460].includes(err.status) || (err.status >= 500 && err.status !== 507)

// pause ends early when the network is back.
function pause(ms, signal) {
  return new Promise(over => {
    const end = () => { clearTimeout(timer); window.removeEventListener('online', end); over() }
    const timer = setTimeout(end, ms)
    window.addEventListener('online', end)
    signal.addEventListener('abort', end)
  })
}

async function whole(item) {
  const headers = {'Content-Type': item.type || 'application/octet-stream', 'Content-Disposition': named(item.name), 'Idempotency-Key': item.key}
  await transfer('POST', '/v1/files', item.file, headers, n => moved(item, n), item.stop.signal)
}

async function pieces(item) {
  if (!item.url) {
    const meta = [`filename ${base64(item.name)}`, item.type && `filetype ${base64(item.type)}`].filter(Boolean).join(',')
    const made = await transfer('POST', '/v1/uploads', null, {...tus, 'Upload-Length': String(item.size), 'Upload-Metadata': meta}, () => {}, item.stop.signal)
    item.url = new URL(made.header('Location'), location.href).pathname
    keep(item)
  } else {
    const stands = await call('HEAD', item.url, undefined, {headers: tus, whole: true})
    item.sent = Number(stands.headers.get('Upload-Offset'))
  }
  while (item.sent < item.size) {
    const from = item.sent
    const answer = await transfer('PATCH', item.url, item.file.slice(from, from + pieceBytes),
      {...tus, 'Upload-Offset': String(from), 'Content-Type': 'application/offset+octet-stream'}, n => moved(item, from + n), item.stop.signal)
    item.sent = Number(answer.header('Upload-Offset'))
    keep(item)
  }
}

function moved(item, sent) {
  item.sent = Math.min(sent, item.size)
  item.draw?.()
}

async function remove(item) {
  item.stop?.abort()
  items = items.filter(i => i !== item)
  const begun = item.url && item.state !== 'done'
  keep({...item, url: ''})
  next()
  if (begun) await call('DELETE', item.url, undefined, {headers: tus}).catch(() => {}) // else it expires
}

const words = {waiting: 'Waiting', sending: 'Uploading', lost: 'Waiting for the connection', done: 'Stored', failed: 'Not stored', asleep: 'Unfinished'}

function draw() {
  if (!place) return
  fill(place, items.length > 0 && el('section.card.uploads', {},
    el('header', {}, el('h2', {}, 'Uploads'),
      items.some(i => i.state === 'done') && button('Clear what is done', () => { items = items.filter(i => i.state !== 'done'); draw() }, 'link')),
    el('ul', {}, items.map(line))))
}

function line(item) {
  const progress = bar(`Upload of ${item.name}`, item.sent, item.size)
  const share = el('span.share')
  item.draw = () => {
    progress.value = item.sent
    fill(share, `${item.size ? Math.floor(100 * item.sent / item.size) : 100} % of ${bytes(item.size)}`)
  }
  item.draw()
  const choose = el('input', {type: 'file', hidden: true, change: () => {
    if (choose.files[0] && same(item, choose.files[0])) uploads.add(choose.files)
    else { item.why = 'That is another file, or it has changed. Choose the same one.'; draw() }
  }})
  return el('li', {'data-state': item.state},
    el('div.line', {}, el('strong.name', {}, item.name), el('span.state', {}, words[item.state]), share),
    item.state !== 'done' && progress,
    item.why && el('p.hint', {}, item.why),
    item.state !== 'done' && el('div.actions', {},
      item.state === 'asleep' && [choose, button('Choose the file', () => choose.click())],
      item.state === 'failed' && button('Try again', () => { Object.assign(item, {state: 'waiting', why: ''}); next() }),
      button('Cancel', () => remove(item), 'plain', {'aria-label': `Cancel the upload of ${item.name}`})))
}
