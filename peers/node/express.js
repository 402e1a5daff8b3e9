'use strict'
// Visit express-session over connect-redis once for each configuration in argv[2], which is
// JSON: [{secret, cookie}, ...]. Print the contents of the browser and of Redis as JSON.

const http = require('node:http')
const session = require('express-session')
const { RedisStore } = require('connect-redis')

const DATA = { user_id: 7, name: 'Zoë ☕', cart: ['bread', { price: 2.5, sold: null }] }

async function visit (options) {
  const held = {}
  const client = { // the calls of a Redis client that connect-redis makes
    get: async (key) => held[key] ?? null,
    set: async (key, value) => { held[key] = value },
    del: async (key) => { delete held[key] },
    expire: async () => {}
  }
  const store = new RedisStore({ client })
  const sessions = session({ ...options, store, resave: false, saveUninitialized: false })
  const server = http.createServer((request, response) => {
    sessions(request, response, () => {
      Object.assign(request.session, DATA)
      response.end()
    })
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`)
  await answer.arrayBuffer()
  server.close()
  server.closeAllConnections()
  const [cookie] = answer.headers.getSetCookie()[0].split(';')
  return { ...options, set: cookie, held, data: DATA }
}

Promise.all(JSON.parse(process.argv[2]).map(visit)).then((made) => console.log(JSON.stringify(made)))
