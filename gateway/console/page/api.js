// The one way to the server: the public contract, on this origin, with the browser's own cookies. No token is ever seen here.

const refused = {
  VALIDATION_ERROR: 'Please correct this:',
  INVALID_CREDENTIALS: 'That did not match. Check both fields; after several wrong tries wait a little.',
  INVALID_CURRENT_PASSWORD: 'The current password is not right. Type it again.',
  ACCOUNT_DEACTIVATED: 'This account is blocked. Ask your administrator.',
  USER_EXISTS: 'That name is taken. Sign in instead, or choose another.',
  DUPLICATE_ENTRY: 'There is one of that name already. Choose another.',
  FORBIDDEN: 'Your account may not do this. Ask an administrator for the right to.',
  NOT_FOUND: 'It is not there any more. Reload the list.',
  PAYLOAD_TOO_LARGE: 'This is larger than the server takes.',
  QUOTA_EXCEEDED: 'Your space is full. Empty the trash or remove old files, then try again.',
  PRECONDITION_FAILED: 'It has changed meanwhile. Reload and look again.',
  OVERLOADED: 'The server is busy. Try again in a moment.',
  UNAVAILABLE: 'The server can not do this right now. Try again in a moment.',
  INTERNAL_ERROR: 'Something broke on the server. Try again; if it stays, tell the operator the number below.',
}

// Refused is a problem document; its message says what to do next.
export class Refused extends Error {
  constructor(problem, retryAfter) {
    super(advice(problem, retryAfter))
    this.code = problem.code
    this.status = problem.status
    this.detail = problem.detail || ''
    this.stepUp = problem.status === 403 && this.detail.includes('/step-up')
  }
}

function advice(problem, retryAfter) {
  if (problem.code === 'RATE_LIMIT_EXCEEDED') return `Too many tries. Wait ${retryAfter || 'some'} seconds, then try again.`
  const fields = (problem.errors || []).map(e => `${e.field.replaceAll('_', ' ')}: ${e.detail}`).join('; ')
  const own = ['FORBIDDEN', 'CONFLICT'].includes(problem.code) && problem.detail ? problem.detail : ''
  const text = [refused[problem.code] || problem.detail || problem.title || 'That did not work.', fields, own && `(${own})`].filter(Boolean).join(' ')
  return problem.status >= 500 && problem.instance ? `${text} [${problem.instance}]` : text
}

export class Offline extends Error {
  constructor() { super('The server can not be reached. Check your connection; nothing is lost.') }
}

// The empty one is of a HEAD, which has no body to say why.
const lapsed = ['', 'INVALID_TOKEN', 'TOKEN_EXPIRED', 'TOKEN_STALE', 'AUTH_ERROR', 'INVALID_REFRESH_TOKEN']

let onEnd = () => {}
export function whenSessionEnds(fn) { onEnd = fn }

// ended tells the page that nobody is signed in any more.
export function ended() { onEnd() }

async function send(method, path, body, headers) {
  const init = {method, headers: {...headers}, credentials: 'same-origin', cache: 'no-store'}
  if (body instanceof Blob) init.body = body
  else if (body !== undefined) {
    init.body = JSON.stringify(body)
    init.headers['Content-Type'] = 'application/json'
  }
  try { return await fetch(path, init) } catch { throw new Offline() }
}

// refusal reads a problem document out of an answer of any kind.
export function refusal(status, text, retryAfter) {
  try { return new Refused(JSON.parse(text), retryAfter) } catch { return new Refused({status, code: '', title: `The server answered ${status}.`}) }
}

let refreshing = null

// refresh asks for the next tokens; calls at the same time share one. It says whether there is a session still.
export function refresh() {
  refreshing ||= (async () => {
    const answer = await send('POST', '/v1/auth/refresh', undefined, {'X-Session-Mode': 'cookie'})
    if (answer.ok) return true
    const err = refusal(answer.status, await answer.text(), answer.headers.get('Retry-After'))
    if (err.status === 401 || err.status === 400) return false
    throw err
  })().finally(() => { refreshing = null })
  return refreshing
}

// call does one call of the contract and returns its body. A spent access token is refreshed once; when the session is over,
// whoever waits for that is told.
export async function call(method, path, body, {headers = {}, whole = false, quiet = false} = {}) {
  let answer = await send(method, path, body, headers)
  if (answer.status === 401) {
    const err = refusal(401, await answer.text())
    if (!lapsed.includes(err.code)) throw err
    if (!await refresh()) {
      if (!quiet) onEnd()
      throw err
    }
    answer = await send(method, path, body, headers)
  }
  if (!answer.ok) throw refusal(answer.status, await answer.text(), answer.headers.get('Retry-After'))
  if (whole) return answer
  const text = await answer.text()
  return text ? JSON.parse(text) : null
}

// enter is a call that begins or renews a session: nobody is signed in yet, so nothing is refreshed.
export async function enter(path, body) {
  const answer = await send('POST', path, body, {'X-Session-Mode': 'cookie'})
  const text = await answer.text()
  if (!answer.ok) throw refusal(answer.status, text, answer.headers.get('Retry-After'))
  return text ? JSON.parse(text) : null
}

export const query = params => {
  const q = new URLSearchParams()
  for (const [key, value] of Object.entries(params)) if (value) q.set(key, value)
  return q.size ? `?${q}` : ''
}

// download hands a file to the browser, after it is sure that the session can open it.
export async function download(path) {
  await call('GET', '/v1/auth/session')
  const link = document.createElement('a')
  link.href = path
  link.download = ''
  link.click()
}

// passkey asks the browser for a passkey, by the options of the contract.
export const passkey = {
  possible: () => Boolean(window.PublicKeyCredential?.parseRequestOptionsFromJSON),
  async show(options) { return (await navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options)})).toJSON() },
  async make(options) { return (await navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options)})).toJSON() },
}
