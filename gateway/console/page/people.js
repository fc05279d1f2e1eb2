// For administrators: finding people, blocking them, ending their sessions, and their roles.

import {call, query} from './api.js'
import {device} from './account.js'
import {button, dialog, el, field, fill, form, more, note, sure, when} from './dom.js'

const named = user => user.name || user.username || user.email || user.phone || user.id

export async function people(page, me) {
  const search = field('Search', {name: 'q', type: 'search', maxlength: '254', placeholder: 'Name, email, phone'})
  const status = field('Status', {name: 'status', options: [['', 'Everybody'], ['active', 'Active'], ['blocked', 'Blocked']], value: ''})
  const place = el('div')
  let asked = 0
  const reload = async () => {
    const turn = ++asked
    const list = el('ul.rows', {'aria-label': 'People'})
    const foot = await more(list, cursor => call('GET', `/v1/users${query({limit: 50, q: search.input.value, status: status.input.value, cursor})}`), u => row(u, me, reload), 'Nobody fits.')
    if (turn === asked) fill(place, list, foot)
  }
  let typing
  search.input.addEventListener('input', () => { clearTimeout(typing); typing = setTimeout(() => reload().catch(err => note(err.message, true)), 250) })
  status.input.addEventListener('change', () => reload().catch(err => note(err.message, true)))
  page.append(el('div.tools', {}, search, status), place)
  await reload()
}

function row(user, me, reload) {
  const of = word => ({'aria-label': `${word} ${named(user)}`})
  const blocked = user.status === 'blocked'
  return el('li', {'data-id': user.id},
    el('span.sign.round', {'aria-hidden': 'true'}, [...named(user)][0].toUpperCase()),
    el('div.what', {},
      el('span.name', {}, named(user), user.id === me.id && el('em.mark', {}, 'you'), blocked && el('em.mark.bad', {}, 'blocked')),
      el('small', {}, [...[user.username, user.email, user.phone].filter(n => n !== named(user)), user.roles.join(', '), `since ${when(user.created_at)}`].filter(Boolean).join(' · '))),
    el('div.actions', {},
      button('Sessions', () => sessions(user), '', of('Sessions of')),
      button('Roles', () => roles(user, reload), '', of('Roles of')),
      user.id !== me.id && button(blocked ? 'Unblock' : 'Block', async () => {
        if (!blocked && !await sure(`${named(user)} is signed out everywhere at once and can not sign in.`, 'Block')) return
        await call('PATCH', `/v1/users/${user.id}`, {status: blocked ? 'active' : 'blocked'})
        note(`${named(user)} is ${blocked ? 'active again' : 'blocked'}.`)
        await reload()
      }, blocked ? '' : 'danger', of(blocked ? 'Unblock' : 'Block'))))
}

async function sessions(user) {
  const place = el('div')
  dialog(`Sessions of ${named(user)}`, place)
  const again = async () => {
    const list = el('ul.rows.slim', {'aria-label': 'Sessions'})
    const foot = await more(list, cursor => call('GET', `/v1/users/${user.id}/sessions${query({limit: 20, cursor})}`), s => device(s, async ended => {
      await call('DELETE', `/v1/users/${user.id}/sessions/${ended.id}`)
      await again()
    }), 'Signed in nowhere.')
    fill(place, list, foot, button('End all', async () => {
      const {revoked} = await call('DELETE', `/v1/users/${user.id}/sessions`)
      note(`${revoked} ${revoked === 1 ? 'session has' : 'sessions have'} ended.`)
      await again()
    }, 'danger'))
  }
  await again()
}

async function roles(user, reload) {
  const {items} = await call('GET', '/v1/roles?limit=100')
  const boxes = items.map(role => {
    const id = `role-${role.name}`
    return el('p.check', {}, el('input', {type: 'checkbox', id, name: role.name, checked: user.roles.includes(role.name)}),
      el('label', {for: id}, role.name, el('small', {}, role.permissions.map(p => `${p.resource}:${p.action}:${p.scope}`).join(', ') || 'no permissions')))
  })
  const d = dialog(`Roles of ${named(user)}`, form(boxes, 'Save', async f => {
    await call('PATCH', `/v1/users/${user.id}`, {roles: Object.keys(f)})
    note(`The roles of ${named(user)} hold from now on.`)
    d.close()
    await reload()
  }))
}
