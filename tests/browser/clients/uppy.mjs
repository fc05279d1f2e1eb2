// Uploads a file with Uppy and its tus plugin as they come from npm, from a page of another origin: jsdom is the browser,
// with its XMLHttpRequest, its preflights and its rules about which headers a page may read.
import { readFileSync } from 'node:fs'
import { register } from 'node:module'
import { JSDOM } from 'jsdom'

const { ENDPOINT, TOKEN, FILE, NAME } = process.env
const { window } = new JSDOM('', { url: 'http://app.example.org/' })
for (const name of ['window', 'document', 'XMLHttpRequest', 'Blob', 'File', 'localStorage']) {
  globalThis[name] = name === 'window' ? window : window[name]
}
Object.defineProperty(globalThis, 'navigator', { value: window.navigator })

// What a bundler does for a browser: it takes the file that tus-js-client's package.json names for browsers.
const forBrowsers = import.meta.resolve('tus-js-client').replace('/node/', '/browser/')
const hook = `export const resolve = (name, from, next) =>
  name === 'tus-js-client' ? { url: '${forBrowsers}', format: 'commonjs', shortCircuit: true } : next(name, from)`
register(`data:text/javascript,${encodeURIComponent(hook)}`)

const { default: Uppy } = await import('@uppy/core')
const { default: Tus } = await import('@uppy/tus')
const uppy = new Uppy()
uppy.use(Tus, {
  endpoint: ENDPOINT,
  headers: { Authorization: `Bearer ${TOKEN}` },
  chunkSize: 256 * 1024,
  retryDelays: [100, 200, 400, 800, 1600, 3200, 3200, 3200],
})
uppy.on('upload-progress', (_, progress) => console.log('sent', progress.bytesUploaded))
uppy.addFile({ name: NAME, type: 'application/octet-stream', data: new window.File([readFileSync(FILE)], NAME) })
const { successful, failed } = await uppy.upload()
if (failed.length > 0) {
  console.log('failed', failed[0].error)
  process.exit(1)
}
console.log('done', successful[0].uploadURL)
process.exit(0)
