// What was deleted, until it is removed for good.

import {call, query} from './api.js'
import {button, bytes, el, fill, more, note, sure, when} from './dom.js'

export async function trash(page) {
  const place = el('div')
  page.append(el('p.lead', {}, 'Files here still count in your space.'), place)
  const reload = async () => {
    const list = el('ul.rows', {'aria-label': 'Files in the trash'})
    const foot = await more(list, cursor => call('GET', `/v1/trash${query({limit: 50, cursor})}`), file => row(file, reload), 'The trash is empty.')
    fill(place, list, foot)
  }
  await reload()
}

function row(file, reload) {
  const goes = file.purge_at ? ` · goes for good ${when(file.purge_at)}` : ''
  return el('li', {}, el('span.sign', {'aria-hidden': 'true'}, (file.extension || 'file').slice(0, 4)),
    el('div.what', {}, el('span.name', {}, file.name), el('small', {}, `${bytes(file.size)} · deleted ${when(file.deleted_at)}${goes}`)),
    el('div.actions', {},
      button('Restore', async () => {
        await call('POST', `/v1/trash/${file.id}/restore`)
        note(`“${file.name}” is back.`)
        await reload()
      }, '', {'aria-label': `Restore ${file.name}`}),
      button('Delete for good', async () => {
        if (!await sure(`“${file.name}” and its versions can not be brought back.`, 'Delete for good')) return
        await call('DELETE', `/v1/trash/${file.id}`)
        await reload()
      }, 'danger', {'aria-label': `Delete ${file.name} for good`})))
}
