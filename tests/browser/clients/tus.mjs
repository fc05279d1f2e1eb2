// Uploads a file with tus-js-client as it comes from npm. Says how far it is, line by line, and at last where.
import { readFileSync } from 'node:fs'
import * as tus from 'tus-js-client'

const { ENDPOINT, TOKEN, FILE, NAME, PARALLEL, PAUSE_AT } = process.env
const content = readFileSync(FILE)
let paused = false

const options = {
  endpoint: ENDPOINT,
  headers: { Authorization: `Bearer ${TOKEN}` },
  chunkSize: 256 * 1024,
  retryDelays: [100, 200, 400, 800, 1600, 3200, 3200, 3200],
  metadata: { filename: NAME, filetype: 'application/octet-stream' },
  parallelUploads: Number(PARALLEL ?? 1),
  onProgress(sent) {
    console.log('sent', sent)
    if (PAUSE_AT && !paused && sent > Number(PAUSE_AT)) {
      paused = true
      upload.abort().then(resume)
    }
  },
  onError(error) {
    console.log('failed', error.message)
    process.exit(1)
  },
  onSuccess() {
    console.log('done', upload.url)
  },
}

let upload = new tus.Upload(content, options)
upload.start()

// A new object that knows nothing but the address, as after a reload of the page.
function resume() {
  console.log('paused', upload.url)
  upload = new tus.Upload(content, { ...options, uploadUrl: upload.url })
  upload.start()
}
