// Bytes on their way to the server, with progress. Fetch tells none, so this is the one place with XMLHttpRequest.

import {ended, Offline, refresh, refusal} from './api.js'

const stallAfter = 60000 // ms without a byte moving: the network is gone, whatever the browser still believes

// transfer sends a blob and returns {status, header(name), text}. A spent access token is refreshed once. It throws Offline when the
// network is lost and Refused when the server says no. signal aborts.
export async function transfer(method, path, blob, headers, progress, signal) {
  const first = await attempt(method, path, blob, headers, progress, signal)
  if (first.status !== 401) return judged(first)
  if (!await refresh()) {
    ended()
    throw refusal(401, first.text)
  }
  return judged(await attempt(method, path, blob, headers, progress, signal))
}

function judged(answer) {
  if (answer.status >= 200 && answer.status < 300) return answer
  const err = refusal(answer.status, answer.text, answer.header('Retry-After'))
  err.retryAfter = Number(answer.header('Retry-After')) || 0
  throw err
}

function attempt(method, path, blob, headers, progress, signal) {
  return new Promise((done, failed) => {
    if (signal?.aborted) return failed(new DOMException('stopped', 'AbortError'))
    const xhr = new XMLHttpRequest()
    let stall
    const moving = () => {
      clearTimeout(stall)
      stall = setTimeout(() => { xhr.abort(); failed(new Offline()) }, stallAfter)
    }
    xhr.open(method, path)
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value)
    xhr.upload.onprogress = event => { moving(); progress(event.loaded) }
    xhr.onload = () => { clearTimeout(stall); done({status: xhr.status, header: name => xhr.getResponseHeader(name), text: xhr.responseText}) }
    xhr.onerror = () => { clearTimeout(stall); failed(new Offline()) }
    xhr.onabort = () => { clearTimeout(stall); failed(new DOMException('stopped', 'AbortError')) }
    signal?.addEventListener('abort', () => xhr.abort(), {once: true})
    moving()
    xhr.send(blob)
  })
}

// named is the Content-Disposition of RFC 6266 for any name.
export const named = name => `attachment; filename*=UTF-8''${encodeURIComponent(name).replace(/['()*]/g, c => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)}`
