'use strict'
// An Express application over the real session stores: node server.js PORT
// POST /mount {path, store: {kind, ...}, session: {...}} adds a site with a store of its own.
// A request to a site with ?hold=NAME waits after its session was loaded, until GET /release/NAME.

const express = require('express')
const session = require('express-session')
const { Passport } = require('passport')
const { Strategy } = require('passport-local')

const clients = {} // one for each server, shared by all sites

const stores = {
  async redis ({ url, ...options }) {
    const { RedisStore } = require('connect-redis')
    clients[url] ??= require('redis').createClient({ url }).connect()
    return new RedisStore({ client: await clients[url], ...options })
  },
  async postgres ({ url, ...options }) {
    const PostgresStore = require('connect-pg-simple')(session)
    clients[url] ??= new (require('pg').Pool)({ connectionString: url })
    return new PostgresStore({ pool: clients[url], createTableIfMissing: true, pruneSessionInterval: false, ...options })
  },
  async mysql ({ url, table, ...options }) {
    const MySQLStore = require('express-mysql-session')(session)
    clients[url] ??= require('mysql2/promise').createPool(url)
    const store = new MySQLStore({ clearExpired: false, schema: { tableName: table }, ...options }, clients[url])
    await store.onReady()
    return store
  },
  async mongo ({ url, ...options }) {
    const MongoStore = require('connect-mongo').default
    clients[url] ??= new (require('mongodb').MongoClient)(url)
    const store = MongoStore.create({ client: clients[url], ...options })
    await store.collectionP
    return store
  },
  async mongodb ({ url, collection, ...options }) {
    const MongoDBStore = require('connect-mongodb-session')(session)
    const store = new MongoDBStore({ uri: url, collection, ...options }, () => {})
    await store.initialConnectionPromise
    return store
  }
}

const holds = {} // name -> {held, release}: promises and the functions that fulfil them

function hold (name) {
  if (!holds[name]) {
    const made = holds[name] = {}
    made.isHeld = new Promise((resolve) => { made.held = resolve })
    made.isReleased = new Promise((resolve) => { made.release = resolve })
  }
  return holds[name]
}

const state = (req, res) => res.json({
  sid: req.sessionID,
  session: req.session ?? null,
  user: req.user?.id ?? null
})

function site (options, store) {
  const passport = new Passport()
  passport.use(new Strategy((username, password, done) => {
    done(null, password === 'right' && { id: username })
  }))
  passport.serializeUser((user, done) => done(null, user.id))
  passport.deserializeUser((id, done) => done(null, { id }))

  const app = express.Router()
  app.use(session({ resave: false, saveUninitialized: false, store, ...options }))
  app.use(passport.session())
  app.use(async (req, res, next) => {
    if (req.query.hold) {
      const { held, isReleased } = hold(req.query.hold)
      held()
      await isReleased
    }
    next()
  })
  app.get('/read', state)
  app.post('/login', passport.authenticate('local'), state)
  app.post('/login-by-hand', (req, res, next) => req.session.regenerate((error) => {
    if (error) return next(error)
    req.session.user = req.body.username
    state(req, res)
  }))
  app.post('/write', (req, res) => {
    req.session[req.body.key] = req.body.value
    state(req, res)
  })
  app.post('/write-javascript', (req, res) => { // values that JSON does not have
    Object.assign(req.session, { date: new Date(0), nan: NaN, missing: undefined, one: 1.0 })
    state(req, res)
  })
  app.post('/push', (req, res) => { // a nested write
    req.session[req.body.key].items.push(req.body.value)
    state(req, res)
  })
  app.post('/logout', (req, res, next) => req.session.destroy((error) => error ? next(error) : state(req, res)))
  app.post('/passport-logout', (req, res, next) => req.logout((error) => error ? next(error) : state(req, res)))
  app.post('/regenerate', (req, res, next) => {
    const { cookie, ...data } = req.session
    req.session.regenerate((error) => {
      if (error) return next(error)
      Object.assign(req.session, data)
      state(req, res)
    })
  })
  return app
}

const app = express()
app.use(express.json())
app.get('/', (req, res) => res.end())
app.post('/mount', async (req, res) => {
  const { path, store: { kind, ...options }, session: given } = req.body
  app.use(path, site(given, await stores[kind](options)), failed)
  res.end()
})
app.get('/held/:name', async (req, res) => {
  await hold(req.params.name).isHeld
  res.end()
})
app.get('/release/:name', (req, res) => {
  hold(req.params.name).release()
  res.end()
})

function failed (error, req, res, next) {
  res.status(500).end(String(error))
}

app.use(failed)
app.listen(Number(process.argv[2]), '127.0.0.1').keepAliveTimeout = 0 // a client may be idle for long
