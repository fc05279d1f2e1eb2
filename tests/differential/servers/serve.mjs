// Serves @tus/server over its file store in the folder named by the last argument. Prints its address and runs until it is killed.
import { FileStore } from '@tus/file-store'
import { Server } from '@tus/server'

const directory = process.argv.at(-1)
const server = new Server({
  path: '/files',
  relativeLocation: true,
  datastore: new FileStore({ directory, expirationPeriodInMilliseconds: 3600_000 }),
})
const listener = server.listen({ host: '127.0.0.1', port: 0 }, () => {
  console.log(`http://127.0.0.1:${listener.address().port}`)
})
