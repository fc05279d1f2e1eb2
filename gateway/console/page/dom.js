// How the page makes what it shows. Words only ever become text: there is no way from a string to markup here.

// el makes an element. Of props, functions become listeners, true and false switch attributes, the rest are attributes; of
// children, null and false are left out, and what is no element becomes text.
export function el(name, props = {}, ...children) {
  const [tag, ...classes] = name.split('.')
  const node = document.createElement(tag || 'div')
  if (classes.length) node.className = classes.join(' ')
  for (const [key, value] of Object.entries(props)) {
    if (typeof value === 'function') node.addEventListener(key, value)
    else if (key === 'value') node.value = value
    else if (value === true) node.setAttribute(key, '')
    else if (value !== false && value != null) node.setAttribute(key, value)
  }
  add(node, children)
  return node
}

function add(node, children) {
  for (const child of children.flat(9)) {
    if (child == null || child === false) continue
    node.append(child instanceof Node ? child : document.createTextNode(String(child)))
  }
}

// fill puts children in the place of all that node had.
export function fill(node, ...children) {
  node.replaceChildren()
  add(node, children)
  return node
}

let ids = 0

// field is a labelled input; hint is read out with it.
export function field(label, props = {}, hint = '') {
  const id = `f${++ids}`
  const input = props.options
    ? el('select', {id, name: props.name}, props.options.map(([value, text]) => el('option', {value, selected: value === props.value}, text)))
    : el('input', {id, type: 'text', ...props, 'aria-describedby': hint ? `${id}h` : null})
  const box = el('p.field', {}, el('label', {for: id}, label), input, hint && el('small', {id: `${id}h`}, hint))
  box.input = input
  return box
}

// button runs work, and takes no second click meanwhile. What work throws is shown.
export function button(label, work, kind = '', props = {}) {
  const node = el(kind ? `button.${kind}` : 'button', {
    type: 'button', ...props,
    click: async event => {
      event.preventDefault()
      if (node.disabled) return
      node.disabled = true
      node.setAttribute('aria-busy', 'true')
      try { await work(event) } catch (err) { note(err.message, true) } finally {
        node.disabled = false
        node.removeAttribute('aria-busy')
      }
    },
  }, label)
  return node
}

// form calls work with what was filled in. What work throws stands above the fields until the next try.
export function form(fields, submit, work, extra = null) {
  const problem = el('p.problem', {role: 'alert', hidden: true})
  const send = el('button.primary', {type: 'submit'}, submit)
  const node = el('form', {
    submit: async event => {
      event.preventDefault()
      if (send.disabled) return
      send.disabled = true
      send.setAttribute('aria-busy', 'true')
      problem.hidden = true
      try { await work(Object.fromEntries(new FormData(node)), node) } catch (err) {
        fill(problem, err.message)
        problem.hidden = false
      } finally {
        send.disabled = false
        send.removeAttribute('aria-busy')
      }
    },
  }, problem, fields, el('p.actions', {}, send, extra))
  return node
}

// dialog opens a modal one; the browser keeps the focus in it and Escape closes it. It returns how to close it.
export function dialog(title, ...children) {
  const id = `d${++ids}`
  const box = el('dialog', {'aria-labelledby': id})
  const close = () => box.close()
  box.addEventListener('close', () => box.remove())
  box.addEventListener('click', event => { if (event.target === box) close() })
  add(box, [el('header', {}, el('h2', {id, tabindex: '-1', autofocus: true}, title), el('button.plain', {type: 'button', 'aria-label': 'Close', click: close}, '✕')), el('div.body', {}, children)])
  document.body.append(box)
  box.showModal()
  return {close, body: box.lastChild, box}
}

// sure asks before something that can't be taken back.
export function sure(question, word) {
  return new Promise(answer => {
    const d = dialog('Are you sure?', el('p', {}, question), el('p.actions', {},
      button(word, () => { answer(true); d.close() }, 'danger'), button('Keep', () => d.close())))
    d.box.addEventListener('close', () => answer(false))
  })
}

// note says something in passing; screen readers read it out.
export function note(text, bad = false) {
  const line = el(bad ? 'p.bad' : 'p', {}, text, el('button.plain', {type: 'button', 'aria-label': 'Dismiss', click: () => line.remove()}, '✕'))
  document.getElementById('notes').append(line)
  setTimeout(() => line.remove(), bad ? 12000 : 5000)
}

// more is a list that grows by cursor. load returns {items, next_cursor}.
export async function more(list, load, row, empty) {
  let cursor = null
  const next = button('Show more', async () => grow())
  const foot = el('p.more', {hidden: true}, next)
  async function grow() {
    const page = await load(cursor)
    cursor = page.next_cursor
    page.items.forEach(item => list.append(row(item)))
    foot.hidden = !cursor
    if (!list.children.length) list.append(el('li.empty', {}, empty))
  }
  await grow()
  return foot
}

export const bytes = n => {
  const unit = n < 1000 ? 0 : Math.min(4, Math.floor(Math.log10(n) / 3))
  return `${(n / 1000 ** unit).toLocaleString(undefined, {maximumFractionDigits: unit ? 1 : 0})} ${['B', 'kB', 'MB', 'GB', 'TB'][unit]}`
}

export const when = t => t ? new Date(t).toLocaleString(undefined, {dateStyle: 'medium', timeStyle: 'short'}) : 'never'

// bar shows how much of something there is.
export function bar(label, value, max) {
  return el('progress', {'aria-label': label, value: String(value), max: String(max || 1)})
}
