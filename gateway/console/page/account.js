// One's own account: profile, sessions, password, and what guards the sign-in.

import {call, query} from './api.js'
import {button, el, field, fill, form, more, note, when} from './dom.js'
import {factors} from './factors.js'

export async function account(page) {
  const me = await call('GET', '/v1/users/me')
  const places = [el('section.card'), el('section.card'), el('section.card'), el('section.card')]
  page.append(el('div.cards', {}, places))
  profile(places[0], me)
  password(places[1])
  await Promise.all([factors(places[2]), sessions(places[3])])
}

function profile(place, me) {
  const known = [['Username', me.username], ['Email', me.email && `${me.email}${me.email_verified ? '' : ' (not confirmed)'}`], ['Phone', me.phone], ['Roles', me.roles.join(', ')]]
  fill(place, el('h2', {}, 'Profile'),
    el('dl.facts', {}, known.filter(([, v]) => v).map(([k, v]) => [el('dt', {}, k), el('dd', {}, v)])),
    form([field('Name', {name: 'name', value: me.name, maxlength: '200', autocomplete: 'name'})], 'Save', async f => {
      await call('PATCH', '/v1/users/me', {name: f.name})
      note('Saved.')
    }))
}

function password(place) {
  fill(place, el('h2', {}, 'Password'),
    form([
      field('Current password', {name: 'current_password', type: 'password', required: true, autocomplete: 'current-password'}),
      field('New password', {name: 'new_password', type: 'password', required: true, autocomplete: 'new-password'}, 'Your other sessions end.'),
    ], 'Change password', async (f, node) => {
      await call('POST', '/v1/auth/password/change', f)
      node.reset()
      note('The password is changed; your other sessions have ended.')
    }))
}

// device is a row of a list of sessions; end ends it.
export function device(session, end) {
  const name = session.device_name || session.user_agent || 'Unnamed device'
  return el('li', {'data-current': session.current ? 'yes' : null},
    el('div.what', {}, el('span.name', {}, name, session.current && el('em.mark', {}, 'this one')),
      el('small', {}, `${session.ip || 'address unknown'} · since ${when(session.created_at)}${session.last_refresh_at ? ` · last seen ${when(session.last_refresh_at)}` : ''}`)),
    el('div.actions', {}, !session.current && button('End', () => end(session), 'danger', {'aria-label': `End the session ${name}`})))
}

async function sessions(place) {
  const list = el('ul.rows.slim', {'aria-label': 'Sessions'})
  const again = () => sessions(place)
  const foot = await more(list, cursor => call('GET', `/v1/auth/sessions${query({limit: 20, cursor})}`), s => device(s, async ended => {
    await call('DELETE', `/v1/auth/sessions/${ended.id}`)
    note('That session has ended.')
    await again()
  }), 'None.')
  fill(place, el('h2', {}, 'Sessions'), el('p.hint', {}, 'The devices you are signed in on. End one you do not know, and change your password.'), list, foot,
    button('End all others', async () => {
      const {revoked} = await call('POST', '/v1/auth/logout-all', {keep_current: true})
      note(`${revoked} ${revoked === 1 ? 'session has' : 'sessions have'} ended.`)
      await again()
    }))
}
