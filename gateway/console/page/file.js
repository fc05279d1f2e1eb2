// One file: what is known about it, its versions, and its links.

import {call, download} from './api.js'
import {bar, button, bytes, dialog, el, field, fill, form, more, note, when} from './dom.js'
import {transfer} from './transfer.js'

const lives = [['3600', 'One hour'], ['86400', 'One day'], ['604800', 'One week'], ['2592000', '30 days']]

// details opens the dialog; changed is called when the list behind it is no longer right.
export async function details(file, changed, first = '') {
  const links = el('section', {'aria-label': 'Links'})
  const versions = el('section', {'aria-label': 'Versions'})
  const facts = el('dl.facts', {}, [['Type', file.content_type], ['Size', bytes(file.size)], ['Handed in', when(file.created_at)],
    ['SHA-256', el('code', {}, file.sha256)]].map(([k, v]) => [el('dt', {}, k), el('dd', {}, v)]))
  const d = dialog(file.name, first !== 'links' && facts, links, first !== 'links' && versions)
  await showLinks(file, links)
  if (first !== 'links') await showVersions(file, versions, async () => { d.close(); await changed() })
}

async function showLinks(file, place) {
  const list = el('ul.rows.slim', {'aria-label': 'Links'})
  const {items} = await call('GET', `/v1/files/${file.id}/links`)
  items.forEach(link => list.append(linkRow(file, link, () => showLinks(file, place))))
  fill(place, el('h3', {}, 'Links that need no account'),
    form([el('div.pair', {},
      field('Good for', {name: 'expires_in', options: lives, value: '86400'}),
      field('Downloads at most', {name: 'max_downloads', type: 'number', min: '1', max: '1000000000', placeholder: 'no limit'}),
      field('Password', {name: 'password', type: 'password', maxlength: '256', autocomplete: 'new-password', placeholder: 'none'}))],
    'Make a link', async f => {
      const made = await call('POST', `/v1/files/${file.id}/links`, {
        expires_in: Number(f.expires_in), ...(f.max_downloads && {max_downloads: Number(f.max_downloads)}), ...(f.password && {password: f.password}),
      })
      await showLinks(file, place)
      place.insertBefore(told(new URL(made.url, location.href).href), place.children[1])
    }), items.length > 0 && list)
}

// told shows an address that is told once.
function told(url) {
  const input = el('input', {type: 'text', readonly: true, value: url, 'aria-label': 'Address of the new link', class: 'address'})
  return el('div.told', {role: 'status'}, el('p', {}, 'Copy it now: it is shown this once.'), el('div.copy', {}, input, button('Copy', async () => {
    input.select()
    try { await navigator.clipboard.writeText(url); note('Copied.') } catch { note('Press Ctrl+C to copy.') }
  }, 'primary')))
}

function linkRow(file, link, again) {
  const of = link.max_downloads ? ` of ${link.max_downloads}` : ''
  return el('li', {}, el('div.what', {}, el('span', {}, `Until ${when(link.expires_at)}`),
    el('small', {}, `${link.downloads}${of} ${link.downloads === 1 && !of ? 'download' : 'downloads'}${link.password ? ' · asks for a password' : ''}`)),
  el('div.actions', {}, button('Revoke', async () => {
    await call('DELETE', `/v1/files/${file.id}/links/${link.id}`)
    note('The link opens nothing any more.')
    await again()
  }, 'danger')))
}

async function showVersions(file, place, changed) {
  const list = el('ul.rows.slim', {'aria-label': 'Versions'})
  const foot = await more(list, cursor => call('GET', `/v1/files/${file.id}/versions?limit=20${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`),
    v => el('li', {}, el('div.what', {}, el('span', {}, `Version ${v.version}${v.version === file.version ? ', the newest' : ''}`), el('small', {}, `${bytes(v.size)} · ${when(v.created_at)}`)),
      el('div.actions', {},
        button('Download', () => download(`/v1/files/${file.id}/versions/${v.version}/content`)),
        v.version !== file.version && button('Bring back', async () => {
          await call('POST', `/v1/files/${file.id}/versions/${v.version}/restore`, undefined, {headers: {'If-Match': file.etag}})
          note(`Version ${v.version} is the newest again.`)
          await changed()
        }))), 'None.')
  fill(place, el('h3', {}, 'Versions'), replacing(file, changed), list, foot)
}

function replacing(file, changed) {
  const progress = el('div')
  const input = el('input', {type: 'file', id: 'replace', class: 'unseen', 'aria-label': 'File for the new version', change: async () => {
    const chosen = input.files[0]
    const shown = bar('Upload of the new version', 0, chosen.size)
    fill(progress, shown)
    try {
      await transfer('PUT', `/v1/files/${file.id}/content`, chosen, {'Content-Type': chosen.type || file.content_type, 'If-Match': file.etag}, n => { shown.value = n })
      note('The new version is stored.')
      await changed()
    } catch (err) {
      fill(progress, el('p.problem', {role: 'alert'}, err.message))
    }
    input.value = ''
  }})
  return el('div', {}, el('p.field.choose', {}, input, el('label.button', {for: 'replace'}, 'Upload a new version')), progress)
}

