// The list of one's files: search, sort, pages by cursor, and handing in.

import {call, download, query} from './api.js'
import {bar, button, bytes, el, field, fill, form, dialog, more, note, when} from './dom.js'
import {details} from './file.js'
import {uploads} from './uploads.js'

const sorts = [['-created_at', 'Newest first'], ['created_at', 'Oldest first'], ['name', 'Name, A to Z'], ['-name', 'Name, Z to A'], ['-size', 'Largest first'], ['size', 'Smallest first']]
const drawable = /^image\/(jpeg|png|gif|webp|bmp|tiff)$/

let reload = async () => {} // of the list that is on the page
window.addEventListener('stored', () => reload().catch(err => note(err.message, true)))

export async function files(page) {
  const search = field('Search', {name: 'q', type: 'search', maxlength: '255', placeholder: 'Part of a name'})
  const sort = field('Sort', {name: 'sort', options: sorts, value: '-created_at'})
  const place = el('div.list')
  const space = el('div.space')
  let asked = 0
  reload = async () => {
    if (!place.isConnected) return
    const turn = ++asked
    const list = el('ul.rows', {'aria-label': 'Files'})
    const foot = await more(list, cursor => call('GET', `/v1/files${query({limit: 50, q: search.input.value, sort: sort.input.value, cursor})}`),
      file => row(file), search.input.value ? 'No file has this in its name.' : 'Nothing here yet. Hand in a first file: choose one, or drop it on this page.')
    if (turn === asked) fill(place, list, foot)
    await usage(space)
  }
  let typing
  search.input.addEventListener('input', () => { clearTimeout(typing); typing = setTimeout(() => reload().catch(err => note(err.message, true)), 250) })
  sort.input.addEventListener('change', () => reload().catch(err => note(err.message, true)))
  page.append(el('div.tools', {}, search, sort, chooser()), space, place)
  dropping(page)
  await reload()
}

function chooser() {
  const input = el('input', {type: 'file', multiple: true, id: 'choose', 'aria-label': 'Files to upload', class: 'unseen', change: () => {
    uploads.add([...input.files])
    input.value = ''
  }})
  return el('p.field.choose', {}, input, el('label.button.primary', {for: 'choose'}, 'Upload files'))
}

function dropping(page) {
  page.addEventListener('dragover', event => { event.preventDefault(); page.classList.add('over') })
  page.addEventListener('dragleave', () => page.classList.remove('over'))
  page.addEventListener('drop', event => {
    event.preventDefault()
    page.classList.remove('over')
    uploads.add([...event.dataTransfer.files])
  })
}

async function usage(space) {
  const {bytes: used, files: count, quota_bytes: quota} = await call('GET', '/v1/files/usage')
  const text = `${count.toLocaleString()} ${count === 1 ? 'file' : 'files'}, ${bytes(used)}${quota == null ? '' : ` of ${bytes(quota)}`} used`
  fill(space, el('span', {}, text), quota != null && bar('Space used', used, quota))
}

function picture(file) {
  const sign = el('span.sign', {'aria-hidden': 'true'}, (file.extension || 'file').slice(0, 4))
  if (!drawable.test(file.content_type) || file.flaw) return sign
  return el('img.sign', {src: `/v1/files/${file.id}/thumbnail?size=128&fit=cover`, alt: '', loading: 'lazy', error: event => event.target.replaceWith(sign)})
}

const flaws = {infected: 'A scanner found something in it; it can not be read.', corrupt: 'Damaged on the server: tell the operator.', missing: 'Missing on the server: tell the operator.'}

function row(file) {
  const of = word => ({'aria-label': `${word} ${file.name}`})
  return el('li', {'data-id': file.id},
    picture(file),
    el('div.what', {},
      button(file.name, () => details(file, reload), 'link.name', of('Details of')),
      el('small', {}, `${bytes(file.size)} · ${when(file.created_at)}${file.version > 1 ? ` · version ${file.version}` : ''}`),
      file.flaw && el('small.bad', {}, flaws[file.flaw])),
    el('div.actions', {},
      button('Download', () => download(`/v1/files/${file.id}/content`), '', of('Download')),
      button('Share', () => details(file, reload, 'links'), '', of('Share')),
      button('Rename', () => rename(file), 'plain', of('Rename')),
      button('Delete', () => discard(file), 'plain', of('Delete'))))
}

function rename(file) {
  const name = field('Name', {name: 'name', value: file.name, required: true, maxlength: '255'})
  const d = dialog('Rename', form([name], 'Rename', async f => {
    await call('PATCH', `/v1/files/${file.id}`, {name: f.name})
    d.close()
    await reload()
  }))
  name.input.select()
}

async function discard(file) {
  await call('DELETE', `/v1/files/${file.id}`)
  note(`“${file.name}” is in the trash.`)
  await reload()
}
