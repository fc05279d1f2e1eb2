// Signing in and up, with the second step where the account has one, and showing once more that it is oneself.

import {call, enter, passkey} from './api.js'
import {button, dialog, el, field, fill, form} from './dom.js'

const identifier = text => text.includes('@') ? {email: text} : /^\+\d/.test(text) ? {phone: text.replaceAll(' ', '')} : {username: text}

function deviceName() {
  const agent = navigator.userAgent
  const browser = /Firefox/.test(agent) ? 'Firefox' : /Edg\//.test(agent) ? 'Edge' : /Chrom/.test(agent) ? 'Chromium' : /Safari/.test(agent) ? 'Safari' : 'Browser'
  const system = /Android/.test(agent) ? 'Android' : /iPhone|iPad/.test(agent) ? 'iOS' : /Mac/.test(agent) ? 'macOS' : /Windows/.test(agent) ? 'Windows' : 'Linux'
  return `${browser} on ${system}, console`
}

// signIn shows the way in and calls done when somebody is.
export function signIn(app, done, why = '') {
  const box = el('section.card.door')
  fill(app, el('main', {id: 'main', class: 'entrance'},
    el('h1.brand', {}, el('span.ticket', {'aria-hidden': 'true'}), 'Cloakroom'),
    el('p.lead', {}, 'Hand in your things, get a ticket.'),
    why && el('p.why', {role: 'alert'}, why), box))
  enterForm(box, done)
}

function enterForm(box, done) {
  const name = field('Email, phone or username', {name: 'identifier', required: true, autocomplete: 'username webauthn', autocapitalize: 'none', spellcheck: 'false'})
  const word = field('Password', {name: 'password', type: 'password', required: true, autocomplete: 'current-password'})
  fill(box, el('h2', {}, 'Sign in'),
    form([name, word], 'Sign in', async f => {
      const answer = await enter('/v1/auth/login', {...f, device_name: deviceName()})
      if (answer.challenge) return secondStep(box, answer.challenge, done)
      await done()
    }),
    passkey.possible() && el('p.or', {}, button('Sign in with a passkey', async () => {
      const {public_key} = await enter('/v1/auth/login/passkey/options', {})
      await enter('/v1/auth/login/passkey', {credential: await shown(public_key), device_name: deviceName()})
      await done()
    }, 'wide')),
    el('p.switch', {}, 'New here? ', button('Make an account', () => signUpForm(box, done), 'link')))
  name.input.focus()
}

function signUpForm(box, done) {
  const name = field('Email, phone or username', {name: 'identifier', required: true, autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false'})
  fill(box, el('h2', {}, 'Make an account'),
    form([name, field('Your name', {name: 'name', autocomplete: 'name'}),
      field('Password', {name: 'password', type: 'password', required: true, autocomplete: 'new-password'}, 'At least 8 characters. Several words are easy to keep.')],
    'Make account', async f => {
      await enter('/v1/auth/signup', {...identifier(f.identifier.trim()), password: f.password, ...(f.name ? {name: f.name} : {})})
      await done()
    }),
    el('p.switch', {}, 'You have one? ', button('Sign in', () => enterForm(box, done), 'link')))
  name.input.focus()
}

async function shown(options) {
  try { return await passkey.show(options) } catch { throw new Error('No passkey was shown. Try again, or use another way.') }
}

function secondStep(box, challenge, done) {
  const finish = async proof => {
    await enter('/v1/auth/login/factor', {challenge_token: challenge.token, ...proof})
    await done()
  }
  const code = field('Code', {name: 'code', required: true, autocomplete: 'one-time-code', spellcheck: 'false'}, 'Six digits of your app, or a recovery code.')
  const typed = challenge.factors.some(f => f !== 'passkey')
  fill(box, el('h2', {}, 'One more step'), el('p', {}, 'Show that it is you.'),
    typed && form([code], 'Go on', f => finish({code: f.code})),
    challenge.public_key && el('p.or', {}, button('Use a passkey', async () => finish({credential: await shown(challenge.public_key)}), 'wide')),
    el('p.switch', {}, button('Start again', () => enterForm(box, done), 'link')))
  if (typed) code.input.focus()
}

// stepUp does work; when it is refused for want of a fresh proof, asks for one and does it again.
export async function stepUp(work) {
  try { return await work() } catch (err) {
    if (!err.stepUp) throw err
  }
  await proof()
  return work()
}

async function proof() {
  const {factors} = await call('GET', '/v1/auth/session')
  await new Promise((proved, gaveUp) => {
    const give = async body => {
      await call('POST', '/v1/auth/step-up', body, {headers: {'X-Session-Mode': 'cookie'}})
      proved()
      d.close()
    }
    const typed = !factors.length || factors.includes('totp')
    const input = factors.length
      ? field('Code', {name: 'code', required: true, autocomplete: 'one-time-code'}, 'Six digits of your app, or a recovery code.')
      : field('Password', {name: 'password', type: 'password', required: true, autocomplete: 'current-password'})
    const d = dialog('Confirm that it is you', el('p', {}, 'What you are about to do needs it.'),
      typed && form([input], 'Confirm', give),
      factors.includes('passkey') && el('p.or', {}, button('Use a passkey', async () => {
        const {public_key} = await call('POST', '/v1/auth/step-up/options', {})
        await give({credential: await shown(public_key)})
      }, 'wide')))
    d.box.addEventListener('close', () => gaveUp(new Error('Nothing was changed: it was not confirmed.')))
  })
}
