// For administrators: what was done, by whom.

import {call, query} from './api.js'
import {el, field, fill, form, more, when} from './dom.js'

export async function audit(page) {
  const place = el('div')
  const fields = [
    field('Action', {name: 'action', maxlength: '254', placeholder: 'session.login'}),
    field('Person', {name: 'user_id', maxlength: '36', placeholder: 'id of a person', spellcheck: 'false'}),
    field('Since', {name: 'since', type: 'datetime-local'}),
  ]
  const show = async f => {
    const asked = {...f, since: f.since && new Date(f.since).toISOString()}
    const list = el('ol.rows.slim.trail', {'aria-label': 'Audit trail'})
    const foot = await more(list, cursor => call('GET', `/v1/audit${query({limit: 50, cursor, ...asked})}`), row, 'Nothing fits.')
    fill(place, list, foot)
  }
  const search = form([el('div.pair', {}, fields)], 'Show', show)
  page.append(search, place)
  await show({})
}

function row(entry) {
  const detail = Object.entries(entry.detail || {}).map(([k, v]) => `${k}: ${typeof v === 'string' ? v : JSON.stringify(v)}`).join(' · ')
  const where = entry.personal ? Object.values(entry.personal).filter(Boolean).join(' · ') : ''
  return el('li', {}, el('div.what', {},
    el('span.name', {}, entry.action), el('small', {}, `${when(entry.at)} · ${entry.actor} → ${entry.target}`),
    detail && el('small', {}, detail), where && el('small', {}, where), entry.forgotten && el('small', {}, 'The person has been erased; what was personal is forgotten.')),
  el('small.seq', {}, `#${entry.seq}`))
}
