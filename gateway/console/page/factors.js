// What is shown besides the password: authenticator apps, passkeys, recovery codes.

import {call, passkey} from './api.js'
import {button, dialog, el, field, fill, form, note, sure, when} from './dom.js'
import {stepUp} from './signin.js'

const kinds = {totp: 'Authenticator app', passkey: 'Passkey'}

export async function factors(place) {
  const held = await call('GET', '/v1/auth/factors')
  const again = () => factors(place)
  fill(place, el('h2', {}, 'Second step'),
    el('p.hint', {}, held.items.some(f => f.confirmed) ? `${held.recovery_codes_left} recovery codes left.` : 'With one, a stolen password opens nothing.'),
    el('ul.rows.slim', {'aria-label': 'Second factors'}, held.items.map(f => row(f, again))),
    el('p.actions', {},
      button('Add an app', () => addApp(again)),
      passkey.possible() && button('Add a passkey', () => addPasskey(again)),
      held.items.some(f => f.confirmed) && button('New recovery codes', async () => {
        const {recovery_codes} = await stepUp(() => call('POST', '/v1/auth/factors/recovery-codes', {}))
        showCodes(recovery_codes)
        await again()
      }, 'plain')))
}

function row(factor, again) {
  return el('li', {},
    el('div.what', {}, el('span.name', {}, factor.name), el('small', {}, `${kinds[factor.type]} · ${factor.confirmed ? `last used ${when(factor.last_used_at)}` : 'not finished'}`)),
    el('div.actions', {}, button('Remove', async () => {
      if (!await sure(`“${factor.name}” will not open your account any more.`, 'Remove')) return
      await stepUp(() => call('DELETE', `/v1/auth/factors/${factor.id}`))
      await again()
    }, 'danger', {'aria-label': `Remove ${factor.name}`})))
}

async function addApp(again) {
  const {factor, secret, otpauth_uri} = await stepUp(() => call('POST', '/v1/auth/factors', {type: 'totp', name: 'Authenticator app'}))
  const code = field('Code', {name: 'code', required: true, inputmode: 'numeric', autocomplete: 'one-time-code'}, 'The six digits the app shows now.')
  const d = dialog('Add an authenticator app',
    el('p', {}, 'Type this key into your app, or ', el('a', {href: otpauth_uri}, 'open the app on this device'), '.'),
    el('p', {}, el('code.key', {}, secret.match(/.{1,4}/g).join(' '))),
    form([code], 'Confirm', async f => {
      const {recovery_codes} = await stepUp(() => call('POST', `/v1/auth/factors/${factor.id}/confirm`, {code: f.code}))
      d.close()
      note('Sign-ins ask for a code from now on.')
      if (recovery_codes.length) showCodes(recovery_codes)
      await again()
    }))
  code.input.focus()
}

async function addPasskey(again) {
  const {factor, public_key} = await stepUp(() => call('POST', '/v1/auth/factors', {type: 'passkey', name: 'Passkey'}))
  let credential
  try { credential = await passkey.make(public_key) } catch {
    await call('DELETE', `/v1/auth/factors/${factor.id}`).catch(() => {}) // else it lapses in five minutes
    throw new Error('No passkey was made. Try again when your device is ready.')
  }
  const {recovery_codes} = await stepUp(() => call('POST', `/v1/auth/factors/${factor.id}/confirm`, {credential}))
  note('The passkey is added.')
  if (recovery_codes.length) showCodes(recovery_codes)
  await again()
}

function showCodes(codes) {
  dialog('Recovery codes', el('p', {}, 'Each stands in once for a lost device. Keep them apart from it: they are shown this once.'),
    el('ul.codes', {}, codes.map(c => el('li', {}, el('code', {}, c)))),
    button('Copy', async () => { await navigator.clipboard.writeText(codes.join('\n')); note('Copied.') }, 'primary'))
}
