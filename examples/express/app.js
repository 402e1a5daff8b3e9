'use strict'
// The Express half of the example. It shares its sessions with app.py, and passes the requests under
// /python on to it, as a reverse proxy in front of both would do. make express-demo starts both.

const http = require('node:http')
const path = require('node:path')
const express = require('express')
const session = require('express-session')
const { RedisStore } = require('connect-redis')
const { createClient } = require('redis')

const { PORT = 8000, PYTHON_PORT = 8001, REDIS_URL = 'redis://127.0.0.1:6379', SESSION_SECRET } = process.env

const client = createClient({ url: REDIS_URL })
client.on('error', (error) => console.error(error.message))
const app = express()

app.get('/', (req, res) => res.sendFile(path.join(__dirname, 'page.html')))

app.use('/python', (req, res) => {
  const { method, headers, originalUrl } = req
  const passed = http.request({ host: '127.0.0.1', port: PYTHON_PORT, path: originalUrl, method, headers })
  passed.on('response', (answer) => answer.pipe(res.writeHead(answer.statusCode, answer.headers)))
  passed.on('error', () => res.status(502).end())
  req.pipe(passed)
})

app.use(session({
  store: new RedisStore({ client }),
  secret: SESSION_SECRET,
  resave: false,
  saveUninitialized: false,
  cookie: { sameSite: 'lax', maxAge: 24 * 60 * 60 * 1000 }
}))

function me (req, res) {
  res.json({ user: req.session?.user ?? null, cart: req.session?.cart ?? [] })
}

app.get('/me', me)

app.post('/cart/:item', (req, res) => {
  req.session.cart = [...req.session.cart ?? [], req.params.item]
  me(req, res)
})

app.post('/login/:user', (req, res, next) => { // a real login checks a password
  const { cart } = req.session
  req.session.regenerate((error) => {
    if (error) return next(error)
    Object.assign(req.session, { user: req.params.user, cart })
    me(req, res)
  })
})

app.post('/logout', (req, res, next) => {
  req.session.destroy((error) => error ? next(error) : me(req, res))
})

client.connect().then(() => app.listen(Number(PORT), '127.0.0.1'))
